"""What the units of a verilated core did, counted in C++ while programs ran."""

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config
from systolith_hw.registers import COUNTERS

__all__ = ["SIGNALS", "Activity", "read_activity"]

SIGNALS = (
    "`verilator_config\n"
    'public_flat_rd -module "systolith" -var "events"\n'
    'public_flat_rd -module "systolith" -var "fault_array__pc"\n'
    'public_flat_rd -module "systolith.control.lifecycle" -var "running"\n'
)
"""Tells Verilator what ``device.cpp`` looks at."""

BITS = 32
"""Of the events that are counted one by one."""

SEVERAL = "SATURATIONS"
"""The one event that is a number."""


@dataclass(frozen=True)
class Activity:
    """Counts of events over the cycles in which programs ran, in their order.

    A row of ``bins`` is as many cycles as every other one, but for the last; a row of ``steps``
    lasts as long as the array has an instruction of that address, and until the next.

    Parameters
    ----------
    cycles : int
        Of all programs.
    bin_begins, step_begins : (rows,) int64
        First cycle of each row.
    addresses : (steps,) int64
        Program address of the array's instruction.
    bins, steps : dict of (rows,) int64
        Of each counter but CYCLES.
    """

    cycles: int
    bin_begins: NDArray[np.int64]
    bins: dict[str, NDArray[np.int64]]
    step_begins: NDArray[np.int64]
    addresses: NDArray[np.int64]
    steps: dict[str, NDArray[np.int64]]

    @property
    def bin_lengths(self) -> NDArray[np.int64]:
        """Cycles of each bin."""
        return np.diff(self.bin_begins, append=self.cycles)

    @property
    def step_lengths(self) -> NDArray[np.int64]:
        """Cycles of each step."""
        return np.diff(self.step_begins, append=self.cycles)


def read_activity(library: ctypes.CDLL, handle: int, config: Config) -> Activity:
    """Return what a device has counted so far."""
    tables = [_table(library, handle, steps) for steps in (False, True)]
    (bin_begins, _, bins), (step_begins, addresses, steps) = (
        (table[:, 0], table[:, 1], _by_name(table[:, 2:], config)) for table in tables
    )
    return Activity(
        library.device_watched_cycles(handle), bin_begins, bins, step_begins, addresses, steps
    )


def _table(library: ctypes.CDLL, handle: int, steps: bool) -> NDArray[np.int64]:
    rows = ctypes.c_uint64()
    address = library.device_activity(handle, steps, ctypes.byref(rows))
    if not rows.value:
        return np.zeros((0, 2 + BITS), np.int64)
    pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_int64))
    return np.ctypeslib.as_array(pointer, (rows.value, 2 + BITS)).copy()


def _by_name(counts: NDArray[np.int64], config: Config) -> dict[str, NDArray[np.int64]]:
    """Join the bits of the one event that is a number; each of the others is one bit."""
    result, place = {}, 0
    for counter in COUNTERS:
        if counter.name == "CYCLES" or (counter.rows and not config.vector.rows):
            continue
        many = (config.array.rows + config.vector.lanes).bit_length()
        width = many if counter.name == SEVERAL else 1
        bits = counts[:, place : place + width]
        result[counter.name] = bits @ (1 << np.arange(width))
        place += width
    return result
