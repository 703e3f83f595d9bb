"""Golden model of :class:`systolith_hw.vector.requantizer.Requantizer`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.config import FIXED_BITS, NORMAL_BITS

__all__ = [
    "FIXED_MAX",
    "FIXED_MIN",
    "clip_normal",
    "normalize_significand",
    "requantize",
    "requantize_each",
    "round_half_even",
]

FIXED_MAX = (1 << FIXED_BITS - 1) - 1
FIXED_MIN = -FIXED_MAX - 1


def clip_normal(z: ArrayLike) -> NDArray[np.int64]:
    """Return integers clipped to the 18 signed bits that a multiplier takes."""
    limit = 1 << NORMAL_BITS - 1
    return np.clip(np.asarray(z, np.int64), -limit, limit - 1)


def round_half_even(value: NDArray[np.int64], shift: ArrayLike) -> NDArray[np.int64]:
    """Return ``value / 2**shift`` rounded to nearest, ties to even, for ``shift`` 0 to 62."""
    shift = np.asarray(shift, np.int64)
    floor = value >> shift
    rest = value - (floor << shift)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    up = (shift > 0) & ((rest > half) | ((rest == half) & (floor & 1 == 1)))
    return floor + up


def normalize_significand(x: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ``(m, s)`` with ``x ~ m * 2**s``, m of 18 signed bits, rounded to odd.

    The error is below 2**-16 of x, for x of up to 53 bits.
    """
    x = np.asarray(x, np.int64)
    magnitude = np.where(x < 0, ~x, x)
    # frexp of an integer below 2**53 gives its bit length exactly.
    s = np.frexp(magnitude.astype(np.float64))[1].astype(np.int64) - (NORMAL_BITS - 1)
    right = np.maximum(s, 0)
    floor = x >> right
    sticky = (x - (floor << right)) != 0
    m = np.where(s > 0, floor | sticky, x << np.maximum(-s, 0))
    zero = x == 0
    return np.where(zero, 0, m), np.where(zero, 0, s)


def requantize(
    x: ArrayLike, scale: ArrayLike, shift: ArrayLike, bias: ArrayLike
) -> tuple[NDArray[np.int64], int]:
    """Return ``sat(RNE(m * scale * 2**(s - shift)) + bias)`` and how many values saturated.

    Arguments broadcast; numbers and rounding as in ``docs/numerics.md``, "Requantise".
    Against ``x * scale * 2**-shift`` in float64 the error is at most half an LSB plus 2**-16 of
    the value.
    """
    z, saturated = requantize_each(x, scale, shift, bias)
    return z, int(np.count_nonzero(saturated))


def requantize_each(
    x: ArrayLike, scale: ArrayLike, shift: ArrayLike, bias: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.bool]]:
    """Return the values of :func:`requantize`, and which of them saturated."""
    m, s = normalize_significand(x)
    p = m * np.asarray(scale, np.int64)
    t = np.asarray(shift, np.int64) - s
    right = np.clip(t, 0, 40)  # |p| < 2**34: from 35 on the result is zero
    y = round_half_even(p, right)
    y = np.where((t < 0) & (p != 0), np.where(p < 0, np.int64(-(2**40)), np.int64(2**40)), y)
    clipped = np.clip(y, FIXED_MIN, FIXED_MAX)
    z = clipped + np.asarray(bias, np.int64)
    final = np.clip(z, FIXED_MIN, FIXED_MAX)
    return final, (clipped != y) | (final != z)
