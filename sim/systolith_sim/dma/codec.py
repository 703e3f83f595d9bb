"""Golden models of weight codecs: what 4-bit codes become on their way into operand memory."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.config import WEIGHT_BITS

__all__ = ["CODES", "CODE_BITS", "GROUP", "SLOPE_FRACTION", "expand_affine", "expand_exponent"]

CODE_BITS = 4
CODES = 1 << CODE_BITS

GROUP = 32
"""So many consecutive inputs of an output channel share their parameters."""

SLOPE_FRACTION = 4
"""An affine group's slope, unsigned and 8 bits, has LSB 2**-4."""

LIMIT = (1 << WEIGHT_BITS - 1) - 1


def expand_affine(codes: ArrayLike, slope: ArrayLike, offset: ArrayLike) -> NDArray[np.int64]:
    """Return ``clip8(floor((slope * code + 8) / 16) + offset)``.

    Parameters
    ----------
    codes : integers, 0..15
    slope : integers, 0..255
    offset : integers, -128..127
    """
    product = np.asarray(slope, np.int64) * np.asarray(codes, np.int64)
    rounded = product + (1 << SLOPE_FRACTION - 1) >> SLOPE_FRACTION
    return np.clip(rounded + np.asarray(offset, np.int64), -LIMIT - 1, LIMIT)


def expand_exponent(codes: ArrayLike, exponent: ArrayLike) -> NDArray[np.int64]:
    """Return ``(code - 8) << exponent``.

    Parameters
    ----------
    codes : integers, 0..15
    exponent : integers, 0..4
    """
    return np.asarray(codes, np.int64) - CODES // 2 << np.asarray(exponent, np.int64)
