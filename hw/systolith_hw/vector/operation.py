"""What the vector unit may do with a value, behind scale, bias and addition."""

from typing import Any

from amaranth.hdl import Value
from amaranth.lib import data, enum

from ..config import SCALE_BITS, SHIFT_BITS

__all__ = ["PRODUCT_SHIFT_BITS", "Operation", "multiplies", "signed_factor", "takes_scale", "turns"]


PRODUCT_SHIFT_BITS = 5
"""Width of what PRODUCT and ACROSS divide by, a power of two."""


class Operation(enum.IntEnum, shape=3):
    """What is done; the first four have the numbers of :class:`systolith_hw.isa.DrainFunction`,
    whose RELU is none: the addition in front does it.

    ``rotate`` takes two passes of the same values: STRAIGHT keeps its products, and ACROSS adds
    those of the lanes beside to them.
    """

    NONE = 0
    GELU = 1
    SILU = 2
    PRODUCT = 3
    EXP2 = 4
    AFFINE = 5
    STRAIGHT = 6
    ACROSS = 7


def takes_scale(operation: Any) -> tuple[Value, Value]:
    """Return whether an operation uses a scale entry's scale and shift, and whether its bias."""
    affine = operation == Operation.AFFINE
    return affine | (operation == Operation.EXP2), affine


def turns(operation: Any) -> Value:
    """Return whether an operation is one of the two passes of ``rotate``."""
    return (operation == Operation.STRAIGHT) | (operation == Operation.ACROSS)


def multiplies(operation: Any) -> Value:
    """Return whether an operation multiplies by a factor from wide memory."""
    return (operation == Operation.PRODUCT) | turns(operation)


def signed_factor() -> data.StructLayout:
    """Return the shape of a multiplier: ``scale * 2**-shift``, to be negated if ``negative``."""
    return data.StructLayout({"scale": SCALE_BITS, "shift": SHIFT_BITS, "negative": 1})
