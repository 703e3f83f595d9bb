"""A whole board in Verilator: core, memory controller and host link, SDRAM chip and serial line."""

import ctypes
import sys
import weakref
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .. import verilator
from ..device.device import DeviceError
from . import sdram_chip, serial_line, spi_flash
from .library import HERE, board_library
from .serial_line import SerialLine, SerialSettings

__all__ = ["VerilatedBoard"]

PARTS = ("sdram_chip.cpp", "serial_line.cpp")
HEADERS = (HERE / "sdram_chip.h", HERE / "serial_line.h", HERE.parent / "device" / "checks.h")


class _Settings(ctypes.Structure):
    _fields_ = [
        ("chip", sdram_chip.SdramSettings),
        ("line", serial_line.LineStructure),
        ("core_period", ctypes.c_double),
        ("memory_period", ctypes.c_double),
        ("flash", spi_flash.FlashSettings),  # not looked at by a board without
    ]


def _say(message: str) -> None:
    print(message, file=sys.stderr)


class VerilatedBoard:
    """A board that runs by the cycles of its core.

    Parameters
    ----------
    verilog : str
        A module ``board`` with the ports of ``systolith_fpga.boards.system.BoardSystem``, and the
        core.
    chip : SdramSettings
        Of external memory.
    line : SerialSettings
        Of the host's end of the line.
    core_hz, memory_hz : float
        The clocks.
    flash : FlashSettings, optional
        Of the flash memory, on a board that reads one.
    report : callable
        Told about what takes long.

    Attributes
    ----------
    line : SerialLine
    memory : array of uint8
        The bytes that the chip holds, by address: a back door. Not to be used after the board is
        gone.
    flash : array of uint8
        What the flash memory holds, likewise, if there is one.
    """

    flash: NDArray[np.uint8]

    def __init__(
        self, verilog: str, *, chip: sdram_chip.SdramSettings, line: SerialSettings,
        core_hz: float, memory_hz: float, flash: spi_flash.FlashSettings | None = None,
        report: Callable[[str], None] = _say,
    ) -> None:  # fmt: skip
        reads = flash is not None
        path = board_library(
            "board", verilog, top="board", main="board.cpp",
            parts=[*PARTS, *["spi_flash.cpp"] * reads],
            headers=[*HEADERS, *[HERE / "spi_flash.h"] * reads],
            definitions=["-DBOARD_FLASH"] * reads, arguments=verilator.SAFE, report=report,
        )  # fmt: skip
        self._library = library = ctypes.CDLL(str(path))
        serial_line.describe(library)
        pointer = ctypes.c_void_p
        for name, result, *taken in (
            ("create", pointer, ctypes.POINTER(_Settings)), ("destroy", None, pointer),
            ("line", pointer, pointer), ("run", None, pointer, ctypes.c_uint64),
            ("memory", pointer, pointer), ("memory_bytes", ctypes.c_uint64, pointer),
            ("cycle", ctypes.c_uint64, pointer), ("violation", ctypes.c_char_p, pointer),
        ):  # fmt: skip
            function = getattr(library, f"board_{name}")
            function.restype, function.argtypes = result, taken
        settings = _Settings(
            chip=chip, line=line.structure(), core_period=1e9 / core_hz,
            memory_period=1e9 / memory_hz, flash=flash or spi_flash.FlashSettings(),
        )  # fmt: skip
        self._handle = library.board_create(ctypes.byref(settings))
        self._release = weakref.finalize(self, library.board_destroy, self._handle)
        self.line = SerialLine(library, library.board_line(self._handle))
        size = library.board_memory_bytes(self._handle)
        self.memory = self._bytes(library.board_memory, size)
        self._flash = flash
        if flash is not None:
            for name, result in (("flash", pointer), ("flash_violation", ctypes.c_char_p),
                                 ("flash_bytes_read", ctypes.c_uint64)):  # fmt: skip
                function = getattr(library, f"board_{name}")
                function.restype, function.argtypes = result, [pointer]
            self.flash = self._bytes(library.board_flash, flash.bytes)

    def _bytes(self, function: Callable[[int], int], size: int) -> NDArray[np.uint8]:
        raw = (ctypes.c_uint8 * size).from_address(function(self._handle))
        return np.ctypeslib.as_array(raw)

    @property
    def flash_bytes_read(self) -> int:
        """Bytes that came out of the flash memory so far."""
        return self._library.board_flash_bytes_read(self._handle)

    @property
    def quiet(self) -> bool:
        """Nothing is under way on the line."""
        return self.line.quiet

    @property
    def cycle(self) -> int:
        """Cycles of the core's clock so far."""
        return self._library.board_cycle(self._handle)

    def run(self, cycles: int) -> None:
        """Let cycles of the core pass; other threads of Python go on meanwhile.

        Raises
        ------
        DeviceError
            A rule of the memory chip, or of the flash memory, has been broken.
        """
        self._library.board_run(self._handle, cycles)
        broken = self._library.board_violation(self._handle).decode()
        if broken:
            raise DeviceError(f"the controller broke a rule of the SDRAM: {broken}")
        if self._flash is not None:
            broken = self._library.board_flash_violation(self._handle).decode()
            if broken:
                raise DeviceError(f"a rule of the flash memory was broken: {broken}")
