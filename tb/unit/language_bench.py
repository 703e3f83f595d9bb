"""What tests of the compiler of language models share: random models, and golden tokens."""

from collections.abc import Sequence

from systolith.models.quantized_shape import quantize_shape
from systolith_hw.config import Config
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import KeyValueCache

DIMENSIONS = {"layers": 2, "dim": 32, "heads": 4, "kv_heads": 2, "hidden": 48, "vocab": 40}


def random_model(
    config: Config, weights: str = "int8", /, *, seed: int = 0, context: int = 64,
    output_chunk: int = 0, down_chunk: int = 0, **dimensions: int,
) -> DecoderModel:  # fmt: skip
    """Return a model of random weights, rounded with the help of random tokens."""
    sizes = DIMENSIONS | dimensions | {"context": context}
    text = ",".join(f"{name}={size}" for name, size in sizes.items())
    return quantize_shape(
        "llama", text, config, weights=weights, seed=seed, output_chunk=output_chunk or None,
        down_chunk=down_chunk or None,
    )  # fmt: skip


def golden_tokens(
    model: DecoderModel, prompt: Sequence[int], count: int, ends: Sequence[int] = ()
) -> list[int]:
    """Return the likeliest tokens behind a prompt, the first of equals; an end is the last."""
    cache, tokens = KeyValueCache(len(model.layers)), list(prompt)
    made: list[int] = []
    while len(made) < count and not (made and made[-1] in ends):
        tokens = [int(model.advance(tokens, cache)[-1].argmax())]
        made += tokens
    return made
