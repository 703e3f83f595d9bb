"""Language models without weights: their programs take as long as those of any others."""

import dataclasses

import numpy as np

from systolith_hw.config import CODE_GROUP, Config
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import FloatDecoder
from systolith_sim.transformer.encoder import Linear, Words

from .coded_linear import CodedLinear
from .decoder_quantizer import begins_in_tables, quantize_decoder
from .decoder_rounding import Rounded
from .group_rounding import KINDS, CodedWeights
from .weight_codecs import CODECS

__all__ = ["blank_decoder"]

VOCABULARY = 16
"""Of the model that is quantised in its place."""

STEP = 2.0**-10
"""Of weights that are all 1, so that no number of the program overflows."""


def blank_decoder(
    config: Config, model: FloatDecoder, weights: str = "int8", *, streamed: bool = False
) -> DecoderModel:
    """Return integers of a model's sizes, for weights of a codec; the numbers mean nothing."""
    one = dataclasses.replace(
        model, layers=model.layers[:1], embedding=model.embedding[:VOCABULARY],
        head=model.head[:VOCABULARY],
    )  # fmt: skip
    matrices = {
        name: _blank(matrix.shape, weights)
        for name, matrix in vars(model.layers[0]).items()
        if matrix is not None and matrix.ndim == 2
    }
    head = _blank(one.head.T.shape, weights)
    rounded = Rounded([matrices], head, 1.0, np.arange(len(model.norm)))
    tabled = begins_in_tables(config, model, streamed=streamed)
    blank = quantize_decoder(config, one, rounded, streamed=streamed, tabled=tabled)
    words, rows = blank.embedding, len(model.embedding)
    mantissas, exponents = (
        np.broadcast_to(part[:1], (rows, *part.shape[1:]))
        for part in (words.mantissas, words.exponents)
    )
    return dataclasses.replace(
        blank, layers=[blank.layers[0]] * len(model.layers), head=_widened(blank.head, rows),
        embedding=Words(mantissas, exponents),
    )  # fmt: skip


def _blank(shape: tuple[int, int], weights: str) -> CodedWeights:
    """Return a matrix of ones."""
    groups, kind = -(-shape[0] // CODE_GROUP), CODECS[weights].kind
    codes = np.zeros((groups * CODE_GROUP, shape[1]), np.int64)
    parameters = (np.zeros((groups, shape[1]), np.int64),) * KINDS.index(kind)
    return CodedWeights(codes, parameters, np.full(shape[1], STEP), np.ones(shape, np.int64))


def _widened(head: Linear, channels: int) -> Linear:
    """Return a matrix with its first channel so many times."""

    def wide(table: np.ndarray) -> np.ndarray:
        return np.broadcast_to(table[..., :1], (*table.shape[:-1], channels))

    names = ["weights", "scale", "shift", "bias"]
    if isinstance(head, CodedLinear):
        names.append("recipes")
    return dataclasses.replace(head, **{name: wide(getattr(head, name)) for name in names})
