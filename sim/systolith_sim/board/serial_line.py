"""Python's view of ``serial_line.cpp``: the host's end of a board's serial line."""

import ctypes
from dataclasses import dataclass
from fractions import Fraction

from systolith_hw.config import ConfigError

__all__ = ["LineStructure", "SerialLine", "SerialSettings", "describe"]

ROOM = 1 << 16


class LineStructure(ctypes.Structure):
    """``SerialSettings`` of ``serial_line.h``."""

    _fields_ = [
        ("bit_cycles", ctypes.c_double), ("delay_cycles", ctypes.c_uint64),
        ("seed", ctypes.c_uint64), ("fault", ctypes.c_double),
        ("packet_bytes", ctypes.c_uint32), ("packet_cycles", ctypes.c_uint64),
    ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SerialSettings:
    """What a line is like.

    Parameters
    ----------
    bit_cycles : Fraction
        Cycles of a bit.
    delay_cycles : int
        Between the line and the host, each way.
    packet_bytes, packet_cycles : int
        Bytes reach the host in packets of so many, or of those of so many cycles, as behind a
        converter for USB; without ``packet_cycles`` each for itself.
    fault : float
        Probability, for each byte and direction, that a bit of it is changed, that it is lost or
        doubled, or that it and the one before are swapped.
    seed : int
        The same seed gives the same faults to the same bytes.
    """

    bit_cycles: Fraction | int
    delay_cycles: int = 0
    packet_bytes: int = 62
    packet_cycles: int = 0
    fault: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no line."""
        if self.bit_cycles < 2:
            raise ConfigError(f"bit_cycles must be at least 2, not {self.bit_cycles}")
        if not 0 <= self.fault < 1:
            raise ConfigError(f"fault must be in 0..1, not {self.fault}")

    def structure(self) -> ctypes.Structure:
        """Return what C++ is given."""
        return LineStructure(
            bit_cycles=float(self.bit_cycles), delay_cycles=self.delay_cycles, seed=self.seed,
            fault=self.fault, packet_bytes=self.packet_bytes, packet_cycles=self.packet_cycles,
        )  # fmt: skip


def describe(library: ctypes.CDLL) -> None:
    """Tell ctypes about the functions of a library that ``serial_line.cpp`` is in."""
    handle, number = ctypes.c_void_p, ctypes.c_uint64
    for name, result, arguments in (
        ("write", None, [handle, ctypes.c_char_p, ctypes.c_size_t]),
        ("read", ctypes.c_size_t, [handle, ctypes.c_char_p, ctypes.c_size_t]),
        ("waiting", ctypes.c_size_t, [handle]),
        ("quiet", ctypes.c_int, [handle]),
        ("cycle", number, [handle]),
        ("faults", number, [handle]),
        ("broken", number, [handle]),
        ("first", number, [handle, ctypes.c_int]),
        ("last", number, [handle, ctypes.c_int]),
        ("forget_times", None, [handle]),
    ):
        function = getattr(library, f"line_{name}")
        function.restype, function.argtypes = result, arguments


class SerialLine:
    """The line of a simulated board.

    Parameters
    ----------
    library : CDLL
        What :func:`describe` was told about.
    handle : int
        Of the line, which belongs to the board.
    """

    def __init__(self, library: ctypes.CDLL, handle: int) -> None:
        self._library = library
        self._handle = handle

    def write(self, data: bytes) -> None:
        """Send bytes to the board."""
        self._library.line_write(self._handle, data, len(data))

    def read(self) -> bytes:
        """Return what has come from the board."""
        room = ctypes.create_string_buffer(ROOM)
        count = self._library.line_read(self._handle, room, ROOM)
        return room.raw[:count]

    @property
    def waiting(self) -> int:
        """Bytes that the board has not got yet."""
        return self._library.line_waiting(self._handle)

    @property
    def quiet(self) -> bool:
        """Nothing is under way."""
        return bool(self._library.line_quiet(self._handle))

    @property
    def cycle(self) -> int:
        """Cycles of the board's clock."""
        return self._library.line_cycle(self._handle)

    @property
    def faults(self) -> int:
        """Bytes to which something happened."""
        return self._library.line_faults(self._handle)

    @property
    def broken(self) -> int:
        """Bytes of the board without a start or stop bit."""
        return self._library.line_broken(self._handle)

    def busy_cycles(self, *, from_board: bool) -> int:
        """Return the cycles from the first to the last bit of a direction, since
        :meth:`forget_times`."""
        first = self._library.line_first(self._handle, from_board)
        return self._library.line_last(self._handle, from_board) - first

    def forget_times(self) -> None:
        """Measure :meth:`busy_cycles` anew."""
        self._library.line_forget_times(self._handle)
