"""What is told of time on a board: its clocks, and how much of its memory's peak was used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from systolith_sim.device.device import Device

from .link.serial_device import SerialDevice
from .workload import moved_bytes

__all__ = ["BoardTime"]


@dataclass(frozen=True)
class BoardTime:
    """The clocks at which a program ran on a board, and what it took of external memory.

    Parameters
    ----------
    core_mhz, memory_mhz : float
    memory_share : float
        Bytes that crossed the core's port over what memory could move at its clock, in the cycles
        of the program.
    """

    core_mhz: float
    memory_mhz: float
    memory_share: float

    @classmethod
    def of(cls, device: Device, counters: Mapping[str, int]) -> Self | None:
        """Return that of a run with some ``counters``; None if the device is no known board."""
        clocks = device.memory_clock if isinstance(device, SerialDevice) else None
        if clocks is None:
            return None
        assert isinstance(device, SerialDevice)
        memory_hz, width = clocks
        seconds = counters["CYCLES"] / device.clock_hz
        share = moved_bytes(device.config, counters) / (seconds * memory_hz * width)
        return cls(device.clock_hz / 1e6, memory_hz / 1e6, share)

    def __str__(self) -> str:
        """Return it for people."""
        return (
            f"{self.core_mhz:g} MHz core, {self.memory_mhz:.0f} MHz memory, of whose peak "
            f"{self.memory_share:.1%}"
        )
