"""What tests of the encoder compiler share: random models, and runs on the machine."""

import numpy as np

from systolith.compiler.encoder_quantizer import Grams, quantize_layer, quantize_norm, word_base
from systolith.encoder import CompiledEncoder, MachineEncoder
from systolith_hw.config import Config
from systolith_hw.presets import preset
from systolith_sim.transformer.encoder import to_words
from systolith_sim.transformer.model import EncoderModel
from systolith_sim.transformer.reference import FloatLayer, FloatLinear, FloatNorm

ROWS = {"vector.rows": 64, "device": ""}
SMALL = {
    "memory.operand_tiles": 160, "memory.activation_words": 400, "memory.scale_words": 200,
    "memory.program_instructions": 256, **ROWS,
}  # fmt: skip
CONFIGS = {
    "small": preset("small").replace(SMALL | {"memory.wide_words": 600}),
    "ulx3s": preset("ulx3s").replace(SMALL | {"memory.wide_words": 300}),
    "crowded": preset("ulx3s").replace(SMALL | {"memory.wide_words": 150}),
    "blocks": preset("ulx3s").replace(SMALL | {"memory.wide_words": 100}),
    "spilt": preset("ulx3s").replace(
        SMALL | {"memory.wide_words": 100, "memory.activation_words": 200, "bus.data_bytes": 8}
    ),
    "streamed": preset("ulx3s").replace(
        SMALL | {"memory.wide_words": 80, "memory.activation_words": 140, "bus.data_bytes": 8}
    ),
    "flat": preset("small").replace(SMALL | {
        "array.rows": 4, "array.columns": 16, "bus.data_bytes": 16, "array.mantissa_bits": 11,
        "array.window": 20, "memory.wide_words": 600, "memory.activation_words": 1000,
    }),
}  # fmt: skip
"""Cores on which encoders are cut in every way there is."""


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


class Compiled(MachineEncoder):
    """An encoder on the machine, with its golden model."""

    def __init__(self, config: Config, model: EncoderModel, tokens: int, segments: int = 1) -> None:
        self.encoder = CompiledEncoder.compile(config, model, tokens=tokens, segments=segments)
        self.plan = self.encoder.plan
        self.model = model
        super().__init__(self.encoder)

    def check(self, sentences) -> dict[str, int]:
        """Run some sentences and compare; return the counts."""
        result = self.run(sentences)
        for sentence, state in zip(sentences, result.states, strict=True):
            golden = self.model.encode(self.plan.config.array, sentence)
            np.testing.assert_array_equal(state, golden)
        return result.counts
