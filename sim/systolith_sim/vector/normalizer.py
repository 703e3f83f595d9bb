"""Golden model of :class:`systolith_hw.vector.normalizer.Normalizer`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .requantizer import round_half_even

__all__ = ["normalize"]


def normalize(
    z: ArrayLike, base: int, *, mantissa_bits: int, window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Turn fixed-point values into activation words.

    ``mantissas * 2**(base + exponents)`` differs from z by ``2**(base + exponents) / 2`` at most,
    but for values that saturate: those of a word whose largest is too large for ``window``.

    Parameters
    ----------
    z : (..., R) integers of 32 bits
        One word along the last axis; columns beyond N already zero.
    base : int
        Fixed-point bits below exponent 0, from 0 to 31.
    mantissa_bits, window : int
        As in :class:`systolith_hw.config.ArrayConfig`.

    Returns
    -------
    mantissas : (..., R) int64
    exponents : (...) int64
    saturations, flushes : int
        As counted by the hardware; ``docs/numerics.md``, "Block normalise".
    """
    z = np.asarray(z, np.int64)
    limit = (1 << mantissa_bits - 1) - 1
    largest = np.abs(z).max(axis=-1)
    exponents = np.zeros_like(largest)
    for _ in range(window):
        exponents += round_half_even(largest, base + exponents) > limit
    rounded = round_half_even(z, (base + exponents)[..., None])
    mantissas = np.clip(rounded, -limit, limit)
    empty = ~mantissas.any(axis=-1)
    flushes = int(np.count_nonzero(empty & (largest != 0)))
    return (
        mantissas,
        np.where(empty, 0, exponents),
        int(np.count_nonzero(mantissas != rounded)),
        flushes,
    )
