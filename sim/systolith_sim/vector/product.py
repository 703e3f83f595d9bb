"""Golden model of the product of two activations, as SwiGLU needs it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .requantizer import FIXED_MAX, FIXED_MIN, clip_normal, round_half_even

__all__ = ["multiply"]


def multiply(up: ArrayLike, gate: ArrayLike, gate_shift: int, shift: int) -> NDArray[np.int64]:
    """Return ``sat32(RNE(clip18(up) * clip18(RNE(gate / 2**gate_shift)) / 2**shift))``.

    Where nothing is clipped, the error against float64 is at most half an LSB, and half of
    ``|up| * 2**-shift`` for the rounding of the gate.

    Parameters
    ----------
    up, gate : integers of 32 bits
    gate_shift, shift : int
        0 to 62.
    """
    gate = clip_normal(round_half_even(np.asarray(gate, np.int64), gate_shift))
    product = round_half_even(clip_normal(up) * gate, shift)
    return np.clip(product, FIXED_MIN, FIXED_MAX)
