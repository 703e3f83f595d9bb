"""Widths of what is known of a whole row: its length, its sums, and the factor they make.

A row lies in wide memory, which bounds its length N; its words come from a normalizer, which bounds
``abs(mantissa << exponent)`` by the largest magnitude of a fixed-point value, 2**31, whatever the
config's mantissas and window are.
"""

from amaranth.hdl import signed
from amaranth.lib import data

from ..config import FIXED_BITS, SCALE_BITS, Config
from ..isa import SLOT_BITS
from .function_table import VALUE_BITS

__all__ = ["FACTOR_SHIFT_BITS", "factor", "longest_row", "moments", "total_bits"]

FACTOR_SHIFT_BITS = 6
"""A row's factor has shifts of 16 to 47."""


def longest_row(config: Config) -> int:
    """Return the most values that a row may have."""
    return min(config.vector.lanes * config.memory.wide_words, (1 << SLOT_BITS) - 1)


def total_bits(config: Config) -> int:
    """Return the width of a sum of a row's powers of two: at most 32."""
    return (longest_row(config) * ((1 << VALUE_BITS) - 1)).bit_length()


def moments(config: Config) -> data.StructLayout:
    """Return the shape of a row's sums of mantissas and of their squares.

    At most 48 and 78 bits: N times 2**31 and a sign, and N times 2**62.
    """
    array = config.array
    largest = min(((1 << array.mantissa_bits - 1) - 1) << array.window, 1 << FIXED_BITS - 1)
    longest = longest_row(config)
    return data.StructLayout({
        "total": signed((longest * largest).bit_length() + 1),
        "squares": (longest * largest**2).bit_length(),
    })


def factor() -> data.StructLayout:
    """Return the shape of a row's factor: ``scale * 2**-shift``, bit 15 of scale set."""
    return data.StructLayout({"scale": SCALE_BITS, "shift": FACTOR_SHIFT_BITS})
