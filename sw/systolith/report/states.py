"""What each unit is at: busy, waiting for something, or idle."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from systolith_hw.registers import COUNTERS

__all__ = ["BUSY", "IDLE", "STATES", "UNITS", "shares", "units_in"]

BUSY, IDLE = "busy", "idle"

NAMES = ("sequencer", "array", "vector", "row", "load", "store")


def _states(unit: str) -> dict[str, str]:
    """Return the counters of a unit, by the state that they count."""
    result = {}
    for counter in COUNTERS:
        prefix, _, rest = counter.name.lower().partition("_")
        if prefix == unit:
            result[BUSY if rest in ("busy", "beats") else rest.replace("_", " ")] = counter.name
    return result


UNITS: dict[str, dict[str, str]] = {unit: _states(unit) for unit in NAMES}
"""The counter of each state of each unit."""

STATES = tuple(dict.fromkeys([BUSY, *(state for unit in UNITS.values() for state in unit)]))
"""All states but idle."""


def units_in(counts: Mapping[str, NDArray[np.int64]]) -> list[str]:
    """Return the units whose states have all been counted."""
    return [unit for unit, states in UNITS.items() if counts.keys() >= set(states.values())]


def shares(
    unit: str, counts: Mapping[str, NDArray[np.int64]], lengths: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Return the cycles of each state, busy first and idle last, of rows of so many cycles.

    Two states in one cycle are told as the first of them.
    """
    rest = lengths.copy()
    result = {}
    for state, name in UNITS[unit].items():
        result[state] = np.minimum(counts[name], rest)
        rest = rest - result[state]
    result[IDLE] = rest
    return result
