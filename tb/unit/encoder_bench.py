"""What tests of the encoder compiler share: random models, and runs on the machine."""

import numpy as np

from systolith.compiler.encoder_fit import plan_encoder
from systolith.compiler.encoder_layout import EncoderLayout
from systolith.compiler.encoder_plan import EncoderPlan
from systolith.compiler.encoder_program import write_encoder
from systolith.compiler.encoder_quantizer import Grams, quantize_layer, quantize_norm, word_base
from systolith.compiler.encoder_shape import EncoderShape
from systolith_hw.config import Config
from systolith_hw.isa import Register
from systolith_sim.machine import Machine
from systolith_sim.transformer.encoder import to_words
from systolith_sim.transformer.model import EncoderModel
from systolith_sim.transformer.reference import FloatLayer, FloatLinear, FloatNorm


def random_model(
    config: Config, *, features: int = 32, heads: int = 2, hidden: int = 64, layers: int = 1,
    vocabulary: int = 50, positions: int = 64, seed: int = 0,
) -> EncoderModel:  # fmt: skip
    """Return an encoder of random parameters, rounded without looking at any input."""
    rng = np.random.default_rng(seed)
    head = features // heads

    def linear(k, n):
        return FloatLinear(rng.normal(0, k**-0.5, (k, n)), rng.normal(0, 0.1, n))

    def norm():
        return FloatNorm(rng.normal(1, 0.5, features), rng.normal(0, 0.1, features), 1e-12)

    def layer():
        floats = FloatLayer(
            heads=heads,
            **{name: linear(features, features) for name in ("query", "key", "value", "output")},
            up=linear(features, hidden), down=linear(hidden, features),
            attention_norm=norm(), output_norm=norm(),
        )  # fmt: skip
        grams = Grams(np.eye(features), np.eye(features), np.eye(features), np.eye(hidden))
        return quantize_layer(config, floats, grams, output_chunk=head, down_chunk=head)

    base = word_base(config)

    def embedding(rows):
        values = np.rint(rng.normal(0, 65536, (rows, features))).astype(np.int64)
        return to_words(config.array, values, base)

    return EncoderModel(
        embedding(vocabulary), embedding(positions), quantize_norm(norm()), base,
        [layer() for _ in range(layers)],
    )  # fmt: skip


class Compiled:
    """An encoder on a machine."""

    def __init__(self, config: Config, model: EncoderModel, tokens: int, segments: int = 1) -> None:
        self.config = config
        self.model = model
        self.plan: EncoderPlan = plan_encoder(
            config, EncoderShape.of(model), tokens=tokens, segments=segments
        )
        self.layout = EncoderLayout(self.plan)
        self.program = write_encoder(self.layout, model)
        self.machine = Machine(config, self.layout.map.size)
        for address, content in self.layout.parts(model).items():
            self.machine.memory.write(address, content)

    def run(self, sentences) -> tuple[list[np.ndarray], dict[str, int]]:
        """Return each sentence's results, and the counts."""
        layout, regions = self.layout, self.layout.regions
        tables = layout.tables.pack(sentences, layout.context_bytes)
        self.machine.memory.write(regions["tables"].address, tables)
        total = sum(map(len, sentences))
        counts = self.machine.run(self.program, {Register.LENGTH: total}).counts
        residual = regions["residual"]
        raw = self.machine.memory.read(residual.address, residual.size)
        rows = np.frombuffer(raw, "<i4").reshape(self.plan.tokens, -1)
        ends = np.cumsum([len(sentence) for sentence in sentences])
        rows = rows[:total, : self.plan.shape.features]
        return np.split(rows, ends[:-1]), counts

    def check(self, sentences) -> dict[str, int]:
        """Compare with the golden encoder."""
        results, counts = self.run(sentences)
        for sentence, result in zip(sentences, results, strict=True):
            np.testing.assert_array_equal(
                result, self.model.encode(self.config.array, sentence)
            )
        return counts
