"""Golden model of the vector unit's activation functions."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.tables import (
    FRACTION,
    FUNCTION_RANGE_BITS,
    SEGMENT_BITS,
    TABLES,
    Function,
    Table,
)

__all__ = ["interpolate", "rectify"]

REST_BITS = FRACTION + FUNCTION_RANGE_BITS - SEGMENT_BITS


def interpolate(
    table: Table, segment: NDArray[np.int64], rest: NDArray[np.int64], rest_bits: int
) -> NDArray[np.int64]:
    """Return the table's line at ``rest / 2**rest_bits`` of a segment, rounded half up.

    Off the line by half a unit of the table at most. How far the lines are off their function is
    said where they are used: :func:`rectify`, :func:`~.exponential.exponentiate`.
    """
    rise = np.array(table.rises)[segment] * rest
    return np.array(table.values)[segment] + (rise + (1 << rest_bits - 1) >> rest_bits)


def rectify(z: ArrayLike, function: Function) -> NDArray[np.int64]:
    """Return GELU or SiLU of fixed-point values.

    ``max(z, 0) - t(|z|)``, t being the table's function, and zero from 8 on. Against float64 the
    error is at most 2.1e-4 for GELU, everywhere; for SiLU 1.4e-4 for magnitudes below 8, and from
    8 on what is cut off: 2.7e-3 at 8, 2**-16 from 14 on.

    Parameters
    ----------
    z : integers of 32 bits
        LSB 2**-16.
    function : Function
        GELU or SILU.
    """
    z = np.asarray(z, np.int64)
    magnitude = np.abs(z)
    inside = magnitude < 1 << FRACTION + FUNCTION_RANGE_BITS
    magnitude = np.where(inside, magnitude, 0)
    segment, rest = magnitude >> REST_BITS, magnitude & (1 << REST_BITS) - 1
    below = np.maximum(interpolate(TABLES[function], segment, rest, REST_BITS), 0)
    return np.maximum(z, 0) - np.where(inside, below, 0)
