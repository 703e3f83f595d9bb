"""What tests of the compiler of language models share: random models, and golden tokens."""

from collections.abc import Sequence

from systolith.compiler.decoder_streamed_layout import StreamedLayout
from systolith.generation import ModelGenerator
from systolith.language import CompiledDecoder
from systolith.models.quantized_shape import quantize_shape
from systolith.sampling import GREEDY, Sampling
from systolith_hw.config import Config
from systolith_sim.transformer.decoder_model import DecoderModel

DIMENSIONS = {"layers": 2, "dim": 32, "heads": 4, "kv_heads": 2, "hidden": 48, "vocab": 40}
MICROGPT = {"layers": 1, "dim": 24, "heads": 4, "kv_heads": 4, "hidden": 96, "vocab": 27}
"""A model of ReLU and learned positions, whose heads have 6 features."""


def random_model(
    config: Config, weights: str = "int8", architecture: str = "llama", streamed: bool = False,
    /, *, seed: int = 0,
    context: int = 64, output_chunk: int = 0, down_chunk: int = 0, **dimensions: int,
) -> DecoderModel:  # fmt: skip
    """Return a model of random weights, rounded with the help of random tokens."""
    sizes = DIMENSIONS | dimensions | {"context": context}
    text = ",".join(f"{name}={size}" for name, size in sizes.items())
    return quantize_shape(
        architecture, text, config, weights=weights, seed=seed, output_chunk=output_chunk or None,
        down_chunk=down_chunk or None, streamed=streamed,
    )  # fmt: skip


def streamed_model(
    config: Config, weights: str = "int8", /, *, context: int = 64, **sizes: int
) -> DecoderModel:
    """Return such a model of Llama's kind that is to be streamed: its norms have gammas."""
    return random_model(config, weights, "llama", True, context=context, **sizes)


def streamed_layout(compiled: CompiledDecoder) -> StreamedLayout:
    """Return the layout of a model that is streamed."""
    assert isinstance(compiled.layout, StreamedLayout)
    return compiled.layout


def golden_tokens(
    model: DecoderModel, prompt: Sequence[int], count: int, ends: Sequence[int] = (),
    sampling: Sampling = GREEDY,
) -> list[int]:  # fmt: skip
    """Return the tokens behind a prompt, by default the likeliest; an end is the last."""
    made: list[int] = []
    for token in ModelGenerator(model, sampling).generate(prompt, count):
        made.append(token)
        if token in ends:
            break
    return made
