"""Tables of the functions that the vector unit interpolates, as plain data.

A table covers its range with :data:`SEGMENTS` straight lines of equal width. Each line is a chord,
moved by half of what it misses in its middle, so that the error has both signs; a line ends where
the next would begin but for that move, which keeps each segment's entry independent of the others.
"""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "CENTRED_FRACTION",
    "FRACTION",
    "FUNCTION_RANGE_BITS",
    "SEGMENTS",
    "SEGMENT_BITS",
    "TABLES",
    "Function",
    "Table",
    "tabulate",
]

FRACTION = 16
"""Fixed-point numbers that pass through the vector unit's functions have LSB 2**-16."""

CENTRED_FRACTION = 12
"""A normalised value, before gamma, has LSB 2**-12."""

SEGMENT_BITS = 7
SEGMENTS = 1 << SEGMENT_BITS

FUNCTION_RANGE_BITS = 3
"""GELU and SiLU are tabulated for magnitudes below 2**3; beyond, they are 0 or the identity."""


class Function(enum.IntEnum):
    """What a table holds."""

    EXP2 = 0
    GELU = 1
    SILU = 2


@dataclass(frozen=True)
class Table:
    """Lines of one function.

    Parameters
    ----------
    values : tuple of int
        Where each segment's line begins; unsigned, 16 bits.
    rises : tuple of int
        How much it rises over the segment; signed, 13 bits.
    """

    values: tuple[int, ...]
    rises: tuple[int, ...]


def tabulate(function: Callable[[float], float], width: float, unit: float) -> Table:
    """Return the lines of ``function`` over 0..width, in multiples of ``unit``."""
    step = width / SEGMENTS
    values, rises = [], []
    for segment in range(SEGMENTS):
        left, right = function(segment * step), function((segment + 1) * step)
        missed = (function((segment + 0.5) * step) - (left + right) / 2) / 2
        values.append(round((left + missed) / unit))
        rises.append(round((right + missed) / unit) - values[-1])
    return Table(tuple(values), tuple(rises))


def _normal(x: float) -> float:
    """Return the normal distribution's cumulative probability."""
    return math.erfc(-x / math.sqrt(2)) / 2


TABLES = {
    # 2**f for the fraction f of a number, LSB 2**-15.
    Function.EXP2: tabulate(lambda f: 2.0**f, 1, 2.0**-15),
    # What max(x, 0) exceeds the function by, which depends on the magnitude of x alone.
    Function.GELU: tabulate(lambda a: a * _normal(-a), 1 << FUNCTION_RANGE_BITS, 2.0**-FRACTION),
    Function.SILU: tabulate(
        lambda a: a / (1 + math.exp(a)), 1 << FUNCTION_RANGE_BITS, 2.0**-FRACTION
    ),
}
"""The lines of each function."""
