"""Golden model of what the vector unit knows of a whole row: its sums, and the factor they make.

Everything is exact in integers but for the roundings that the functions name. A *factor* has the
form of a scale entry: ``scale * 2**-shift``, scale of 16 bits with bit 15 set.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.config import NORMAL_BITS, SCALE_BITS
from systolith_hw.tables import CENTRED_FRACTION, FRACTION

from .requantizer import (
    FIXED_MAX,
    FIXED_MIN,
    normalize_significand,
    requantize,
    round_half_even,
)

__all__ = [
    "Factor",
    "Moments",
    "invert",
    "multiply_entries",
    "normal_factor",
    "reciprocal_factor",
    "row_sums",
    "scale_row",
]

CENTRED_BITS = 18
"""A normalised value, before gamma, has 18 bits, LSB 2**-12: magnitudes up to 32."""


@dataclass(frozen=True)
class Factor:
    """A number of one row that multiplies all its values: ``scale * 2**-shift``."""

    scale: int
    shift: int


@dataclass(frozen=True)
class Moments:
    """Sums over the mantissas of a row's words, each at its word's exponent.

    Parameters
    ----------
    total : int
        Sum of ``m << e``.
    squares : int
        Sum of ``m**2 << 2 * e``.
    """

    total: int
    squares: int


def row_sums(mantissas: ArrayLike, exponents: ArrayLike) -> list[Moments]:
    """Return the sums of rows of activation words (rows, words, R), exactly."""
    mantissas = np.asarray(mantissas, np.int64)
    shift = np.asarray(exponents, np.int64)
    totals = (mantissas.sum(axis=-1) << shift).sum(axis=-1)
    # Beyond 64 bits: Python's integers.
    squares = ((mantissas**2).sum(axis=-1).astype(object) << (2 * shift).astype(object)).sum(-1)
    return [Moments(int(total), int(square)) for total, square in zip(totals, squares, strict=True)]


def invert(significand: int) -> int:
    """Return ``(2**33 - 1) // significand``, 16 bits, for a significand in 2**17..2**18 - 1.

    It is below ``2**33 / significand``, by 1 at most.
    """
    return ((1 << 33) - 1) // significand


def reciprocal_factor(total: int) -> Factor:
    """Return 1 / total, too large by less than 2**-17 of it, or too small by less than 2**-15.

    Rounded twice, down: total to 18 bits, and the quotient.

    Parameters
    ----------
    total : int
        Sum of a row's summands, at least 2**15: the largest of them is.
    """
    length = total.bit_length()
    significand = total >> length - NORMAL_BITS if length > NORMAL_BITS else (
        total << NORMAL_BITS - length)  # fmt: skip
    return Factor(invert(significand), 33 - NORMAL_BITS + length)


def normal_factor(
    moments: Moments, inverse: Factor, *, base: int, epsilon: int, centre: bool
) -> tuple[int, Factor]:
    """Return the mean of a row, and 1 / its standard deviation.

    Against float64, for the values that the words hold and an inverse that is rounded to nearest,
    the mean is off by ``1/2 + 2**-15 * |mean|`` at most. The variance is a difference, so that it
    is off by up to ``2**-15 * variance + 2**-13 * mean**2 + |mean| + 3``, and without ``centre``
    by ``2**-15 * variance + 1``, but never below zero. The factor is 1 / sqrt of that and epsilon,
    to 2**-14.9 of it. A mean of 10 deviations so costs the factor less than 1 %.

    Where no word saturates, mean and deviation of the words differ from those of the row by half an
    LSB of the largest word at most.

    Parameters
    ----------
    moments : Moments
        Of the row's words.
    inverse : Factor
        1 / the row's length.
    base : int
        Fixed-point bits below exponent 0 of the words.
    epsilon : int
        Added to the variance, LSB that of squares of fixed-point values; at least 1, so that a row
        of zeros stays one.
    centre : bool
        Take the mean off (LayerNorm), or leave it, as if it were zero (RMSNorm).

    Returns
    -------
    mean : int
        Fixed point, 32 bits; 0 without ``centre``.
    factor : Factor
        1 / sqrt(variance + epsilon) for fixed-point values.
    """
    mean = 0
    if centre:
        values, _ = requantize(moments.total, inverse.scale, inverse.shift - base, 0)
        mean = int(values)
    significand = _significand(moments.squares)
    mean_square = _shift(significand.scale * inverse.scale,
                         significand.shift + inverse.shift - 2 * base)  # fmt: skip
    short, exponent = (int(part) for part in normalize_significand(mean))
    variance = max(mean_square - _shift(short * short, -2 * exponent), 0) + epsilon
    # An even shift leaves 31 or 32 bits, whose root has 16.
    halves = variance.bit_length() + 1 - 32 >> 1
    root = math.isqrt(_shift(variance, 2 * halves))
    return mean, Factor(invert(root << NORMAL_BITS - 16), 31 + halves)


def scale_row(
    z: ArrayLike, mean: int, factor: Factor, *,
    scale: ArrayLike, negative: ArrayLike, shift: ArrayLike, bias: ArrayLike,
) -> NDArray[np.int64]:  # fmt: skip
    """Return ``(z - mean) * factor * gamma + beta`` in fixed point.

    The normalised value is rounded to :data:`CENTRED_BITS`, saturated; its product with gamma's
    magnitude is rounded half to even.

    Against float64, with the same mean, factor and gamma, the error is at most
    ``1/2 + (1/2 + 2**-16 * |n|) * scale * 2**-shift``, n being the normalised value in LSBs of
    2**-12, where neither n saturates, at 2**17, nor the result. For a gamma of 1, and results with
    LSB 2**-16, that is 2**-12.9 and 2**-16 of the value.

    Parameters
    ----------
    z : (N,) integers of 32 bits
        The row.
    mean, factor : int, Factor
        From :func:`normal_factor`.
    scale, negative, shift, bias : (N,) integers
        Gamma, ``scale * 2**-shift``, to be negated where ``negative``, and beta.
    """
    limit = 1 << CENTRED_BITS - 1
    normal, _ = requantize(
        np.asarray(z, np.int64) - mean, factor.scale, factor.shift - CENTRED_FRACTION, 0
    )
    product = np.clip(normal, -limit, limit - 1) * np.asarray(scale, np.int64)
    y = round_half_even(product, np.minimum(shift, 40))
    y = np.where(negative, -y, y) + np.asarray(bias, np.int64)
    return np.clip(y, FIXED_MIN, FIXED_MAX)


def multiply_entries(
    scale: ArrayLike, shift: ArrayLike, factor_scale: ArrayLike, factor_shift: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return scale entries times factors and 2**16, as entries; all broadcast.

    A product is rounded down to 16 bits, and so too small by less than 2**-15 of it. Its shift may
    be more than an entry can hold, or less than zero.
    """
    product = np.asarray(scale, np.int64) * np.asarray(factor_scale, np.int64)
    large = product >> 2 * SCALE_BITS - 1
    total = np.asarray(shift, np.int64) + np.asarray(factor_shift, np.int64)
    return product >> SCALE_BITS - 1 + large, total - (SCALE_BITS - 1) - FRACTION - large


def _significand(value: int) -> Factor:
    """Return ``value`` rounded down to 18 bits, as a factor."""
    right = max(value.bit_length() - NORMAL_BITS, 0)
    return Factor(value >> right, -right)


def _shift(value: int, right: int) -> int:
    return value >> right if right >= 0 else value << -right
