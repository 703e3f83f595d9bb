"""Models that are only a shape, in integers, rounded with the help of random tokens."""

import numpy as np

from systolith_hw.config import Config
from systolith_sim.transformer.decoder_model import DecoderModel

from ..compiler.decoder_quantizer import quantize_decoder
from ..compiler.decoder_rounding import round_decoder
from ..compiler.weight_codecs import CODECS
from .shape_only import shape_only_decoder

__all__ = ["quantize_shape"]

TEXTS, LONGEST = 2, 12


def quantize_shape(
    architecture: str, dimensions: str, config: Config, *, weights: str = "int8", seed: int = 0,
    output_chunk: int | None = None, down_chunk: int | None = None, streamed: bool = False,
) -> DecoderModel:  # fmt: skip
    """Return the model of :func:`~systolith.models.shape_only.shape_only_decoder` in integers;
    for ``streamed`` see :func:`~systolith.compiler.decoder_quantizer.quantize_decoder`.

    Raises
    ------
    ConfigError
        If a dimension is unknown, missing or impossible.
    """
    floats = shape_only_decoder(architecture, dimensions, seed)
    length = min(LONGEST, floats.context)
    texts = np.random.default_rng(seed).integers(0, len(floats.embedding), (TEXTS, length))
    rounded = round_decoder(
        floats, texts.tolist(), CODECS[weights], CODECS[weights], folded=not streamed
    )
    return quantize_decoder(
        config, floats, rounded, output_chunk=output_chunk, down_chunk=down_chunk,
        streamed=streamed,
    )  # fmt: skip
