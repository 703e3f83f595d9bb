"""Golden model of the softmax's exponential."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.tables import FRACTION, SEGMENT_BITS, TABLES, Function

from .function import interpolate
from .requantizer import round_half_even

__all__ = ["FAR", "PROBABILITY_BITS", "exponentiate", "reference"]

PROBABILITY_BITS = 15
"""Unnormalised probabilities have LSB 2**-15 and are below 2."""

FAR = 40
"""So many powers of two below the row's largest, every probability is zero."""

REST_BITS = FRACTION - SEGMENT_BITS


def reference(z: ArrayLike) -> NDArray[np.int64]:
    """Return the integer part of the largest score of each row (..., S), rounded down."""
    return np.asarray(z, np.int64).max(axis=-1) >> FRACTION


def exponentiate(
    z: ArrayLike, row_reference: ArrayLike, exponents: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ``2**(z - reference)`` twice: with the exponents of V folded in, and to be summed.

    Only the integer part of the row's maximum is taken off, so that what is left is a table look-up
    of z's fraction and a shift. Against float64 the error of either result is at most 2**-15 of it
    and half an LSB.

    So a probability p of a row of N, ``values`` times :func:`~.row.reciprocal_factor` of the sum of
    ``summands``, is off by at most ``2**-15 + p * (2**-13 + N * 2**-15)``, for N up to 2**14: each
    of the others may be rounded away.

    Parameters
    ----------
    z : (..., S) integers of 32 bits
        Scores in powers of two, LSB 2**-16.
    row_reference : (...) integers
        :func:`reference` of the row.
    exponents : (..., S) integers, 0 to 15
        Block exponents of V's tokens.

    Returns
    -------
    values : (..., S) int64
        31 bits, LSB 2**-15: ``2**(z - reference + exponents)``.
    summands : (..., S) int64
        16 bits, LSB 2**-15: ``2**(z - reference)``.
    """
    z = np.asarray(z, np.int64)
    distance = np.asarray(row_reference, np.int64)[..., None] - (z >> FRACTION)
    distance = np.minimum(distance, FAR)
    fraction = z & (1 << FRACTION) - 1
    power = interpolate(
        TABLES[Function.EXP2], fraction >> REST_BITS, fraction & (1 << REST_BITS) - 1, REST_BITS
    )
    power = np.minimum(power, (2 << PROBABILITY_BITS) - 1)
    raised = power << np.asarray(exponents, np.int64)
    return round_half_even(raised, distance), round_half_even(power, distance)
