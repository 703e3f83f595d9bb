"""What a driver needs of a core and its memory, whether simulated or real."""

import abc
from types import TracebackType
from typing import Self

from systolith_hw.config import Config

__all__ = ["Device", "DeviceError", "RegisterError"]


class DeviceError(RuntimeError):
    """The device cannot go on: the core broke a rule of the bus, or the simulator ended."""


class RegisterError(DeviceError):
    """The core refused an access to a register."""


class Device(abc.ABC):
    """A core with external memory.

    Parameters
    ----------
    config : Config
        What the core was generated from.
    memory_bytes : int
        Size of external memory; addresses start at zero.

    Attributes
    ----------
    closed : bool
        :meth:`close` has been called.
    """

    def __init__(self, config: Config, memory_bytes: int) -> None:
        self.config = config
        self.memory_bytes = memory_bytes
        self.closed = False

    @abc.abstractmethod
    def read_register(self, offset: int) -> int:
        """Return the 32-bit register at byte ``offset``."""

    @abc.abstractmethod
    def write_register(self, offset: int, value: int) -> None:
        """Write the 32-bit register at byte ``offset``."""

    @abc.abstractmethod
    def wait(self, cycles: int) -> bool:
        """Let at most ``cycles`` cycles pass; return early, and true, on an interrupt."""

    @abc.abstractmethod
    def _read(self, address: int, count: int) -> bytes:
        """Return bytes of memory; the range has been checked."""

    @abc.abstractmethod
    def _write(self, address: int, data: bytes) -> None:
        """Change bytes of memory; the range has been checked."""

    def read_memory(self, address: int, count: int) -> bytes:
        """Return ``count`` bytes of external memory."""
        self._check_range(address, count)
        return self._read(address, count)

    def write_memory(self, address: int, data: bytes) -> None:
        """Put ``data`` into external memory."""
        self._check_range(address, len(data))
        self._write(address, bytes(data))

    def close(self) -> None:
        """Release what the device holds. It cannot be used afterwards."""
        self.closed = True

    def __enter__(self) -> Self:
        """Return the device itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the device."""
        self.close()

    def _check_range(self, address: int, count: int) -> None:
        if not (address >= 0 and count >= 0 and address + count <= self.memory_bytes):
            raise ValueError(
                f"bytes {address:#x} to {address + count:#x} are not all in the device's memory "
                f"of {self.memory_bytes:#x} bytes"
            )
