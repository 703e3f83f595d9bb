"""What the vector unit may do with a value, behind scale, bias and addition."""

from typing import Any

from amaranth.hdl import Value
from amaranth.lib import data, enum

from ..config import SCALE_BITS, SHIFT_BITS

__all__ = ["Operation", "signed_factor", "takes_scale"]


class Operation(enum.IntEnum, shape=3):
    """What is done; the first three have the numbers of :class:`systolith_hw.isa.DrainFunction`."""

    NONE = 0
    GELU = 1
    SILU = 2
    EXP2 = 3
    AFFINE = 4


def takes_scale(operation: Any) -> tuple[Value, Value]:
    """Return whether an operation uses a scale entry's scale and shift, and whether its bias."""
    affine = operation == Operation.AFFINE
    return affine | (operation == Operation.EXP2), affine


def signed_factor() -> data.StructLayout:
    """Return the shape of a multiplier: ``scale * 2**-shift``, to be negated if ``negative``."""
    return data.StructLayout({"scale": SCALE_BITS, "shift": SHIFT_BITS, "negative": 1})
