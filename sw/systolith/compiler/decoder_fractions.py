"""LSBs of a language model's values.

None depends on any text but the residual's. What RMSNorm leaves has a norm of at most sqrt(N), so
that a result of a matrix W behind it is at most ``sqrt(N) * |W[:, n]|`` (Cauchy and Schwarz): LSBs
of what is clipped to 18 bits are those for which nothing is ever clipped.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import FIXED_BITS, NORMAL_BITS, VALUE_WINDOW, ArrayConfig
from systolith_hw.tables import FRACTION
from systolith_sim.transformer.decoder_reference import FloatDecoder, FloatDecoderLayer
from systolith_sim.transformer.encoder import VALUE_BASE

from .quantize import WEIGHT_LIMIT

__all__ = [
    "Fractions", "choose_fractions", "residual_base", "residual_fraction", "score_sharpness",
]  # fmt: skip

Floats = NDArray[np.floating]

WORD_ERROR = 1 / 16
"""How much the rounding to words may add to the norm of a row, generously."""

HEADROOM = 4.0
"""How much larger than on the measured text the residual may become before it saturates."""


@dataclass(frozen=True)
class Fractions:
    """Fixed-point bits of results whose LSB is not 2**-16: ``2**-fraction``.

    Parameters
    ----------
    residual, query, key, value, up : int
    """

    residual: int
    query: int
    key: int
    value: int
    up: int


def residual_fraction(largest: float) -> int:
    """Return the residual's, at most 16: the epsilon of norms has LSB ``2**-(2 * fraction)``."""
    return min(FRACTION, FIXED_BITS - 1 - _integer_bits(largest))


def residual_base(array: ArrayConfig, largest: float, fraction: int) -> int:
    """Return the base of words of the residual: the largest exponent still holds all of it."""
    return max(0, _integer_bits(largest) + fraction - array.window - (array.mantissa_bits - 1))


def _integer_bits(largest: float) -> int:
    return math.ceil(math.log2(max(largest, 1.0) * HEADROOM))


def choose_fractions(
    array: ArrayConfig, model: FloatDecoder, residual: int, layers: Iterable[FloatDecoderLayer]
) -> Fractions:
    """Return the finest fractions for which nothing is clipped in any of the layers, which may have
    gammas in their norms."""
    normal = 1 << NORMAL_BITS - 1
    value = WEIGHT_LIMIT << VALUE_WINDOW + VALUE_BASE
    bounds: list[list[float]] = []
    sharpness = 0.0
    for layer in layers:  # one after the other, since each may be made just now
        sharpness = score_sharpness(model, layer)
        before, behind = layer.attention_norm, layer.hidden_norm
        bounds.append([
            *(_bound(array.rows, before, matrix) for matrix in (layer.query, layer.key,
                                                                layer.value)),
            _bound(array.rows, behind, layer.up),
        ])  # fmt: skip
    query, key, values, up = (max(column) for column in zip(*bounds, strict=True))
    return Fractions(
        residual, query=_fraction(query * sharpness, normal), key=_fraction(key, normal),
        value=_fraction(values, value), up=_fraction(up, normal),
    )


def score_sharpness(model: FloatDecoder, layer: FloatDecoderLayer) -> float:
    """Return what makes scores powers of two."""
    return math.log2(math.e) / math.sqrt(layer.query.shape[1] / model.heads)


def _bound(rows: int, gammas: Floats, weights: Floats) -> float:
    """Return what no result of a matrix behind a norm exceeds.

    Rounding changes a word, of ``rows`` features, by a part of its largest one; where gammas
    differ, that may be one for which the matrix has larger weights.
    """
    parts = range(0, len(weights), rows)
    exact = np.add.reduceat(np.square(weights * gammas[:, None]), parts)
    plain = np.add.reduceat(np.square(weights), parts)
    widest = np.maximum.reduceat(np.abs(gammas), parts)[:, None]
    column = np.linalg.norm(np.sqrt(exact) + np.sqrt(plain) * widest * WORD_ERROR, axis=0)
    return float(column.max()) * math.sqrt(len(weights))


def _fraction(bound: float, limit: int) -> int:
    """Return the finest fraction with which ``bound`` stays below ``limit``."""
    return math.floor(math.log2(limit / bound))
