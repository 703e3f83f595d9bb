"""What tests of the compiler of language models share: random models, and golden tokens."""

from collections.abc import Sequence

import numpy as np

from systolith.compiler.decoder_quantizer import quantize_decoder
from systolith.compiler.decoder_rounding import round_decoder
from systolith.compiler.weight_codecs import CODECS
from systolith.models.shape_only import shape_only_decoder
from systolith_hw.config import Config
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import KeyValueCache

DIMENSIONS = {"layers": 2, "dim": 32, "heads": 4, "kv_heads": 2, "hidden": 48, "vocab": 40}


def random_model(config: Config, *, seed: int = 0, context: int = 64, output_chunk: int = 0,
                 down_chunk: int = 0, **dimensions: int) -> DecoderModel:  # fmt: skip
    """Return a model of random weights, rounded with the help of random tokens."""
    sizes = DIMENSIONS | dimensions | {"context": context}
    text = ",".join(f"{name}={size}" for name, size in sizes.items())
    floats = shape_only_decoder("llama", text, seed)
    tokens = np.random.default_rng(seed).integers(0, sizes["vocab"], (2, 12))
    codec = CODECS["int8"]
    rounded = round_decoder(floats, tokens.tolist(), codec, codec)
    return quantize_decoder(
        config, floats, rounded, output_chunk=output_chunk or None, down_chunk=down_chunk or None
    )


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
