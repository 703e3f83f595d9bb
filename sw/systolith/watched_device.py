"""A device that tells how long it has been waited for."""

import time

from systolith_sim.device.device import Device

from .progress import Progress

__all__ = ["WatchedDevice"]

FIRST_CYCLES = 1 << 10
LOOK_SECONDS = 0.1


class WatchedDevice(Device):
    """Another device, which tells how many cycles it has waited for.

    It counts exactly the cycles that the other would: only the waiting is cut into pieces, each of
    about a tenth of a second.

    Parameters
    ----------
    device : Device
        The one that does the work, and whose owner closes it.
    progress : Progress
        Who is told.
    total : float
        Cycles that are expected.
    """

    def __init__(self, device: Device, progress: Progress, total: float) -> None:
        super().__init__(device.config, device.memory_bytes)
        self._device = device
        self._progress = progress
        self._total = total
        self._passed = 0
        self._piece = FIRST_CYCLES

    def wait(self, cycles: int) -> bool:
        """Let at most ``cycles`` cycles pass; return early, and true, on an interrupt."""
        while cycles > 0:
            step = min(cycles, self._piece)
            begin = time.perf_counter()
            interrupted = self._device.wait(step)
            if interrupted:
                return True
            if time.perf_counter() - begin < LOOK_SECONDS:
                self._piece *= 2
            cycles -= step
            self._passed += step
            self._progress.reached(min(self._passed, self._total), self._total)
        return False

    def read_register(self, offset: int) -> int:
        """Return the 32-bit register at byte ``offset``."""
        return self._device.read_register(offset)

    def write_register(self, offset: int, value: int) -> None:
        """Write the 32-bit register at byte ``offset``."""
        self._device.write_register(offset, value)

    def _read(self, address: int, count: int) -> bytes:
        return self._device.read_memory(address, count)

    def _write(self, address: int, data: bytes) -> None:
        self._device.write_memory(address, data)
