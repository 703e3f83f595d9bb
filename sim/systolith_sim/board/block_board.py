"""A whole board without a memory chip in Verilator: core, block memory, host link, serial line."""

import ctypes
import weakref
from collections.abc import Callable

from .. import verilator
from . import serial_line
from .library import HERE, board_library
from .serial_line import SerialLine, SerialSettings

__all__ = ["BlockBoard"]


class BlockBoard:
    """A board that runs by the cycles of its core; its memory is seen over the line only.

    Parameters
    ----------
    verilog : str
        A module ``board`` with the ports of ``systolith_fpga.boards.block_system.BlockSystem``, and
        the core.
    line : SerialSettings
        Of the host's end of the line.
    report : callable
        Told about what takes long.

    Attributes
    ----------
    line : SerialLine
    """

    def __init__(
        self, verilog: str, line: SerialSettings, report: Callable[[str], None]
    ) -> None:
        path = board_library(
            "board", verilog, top="board", main="block_board.cpp", parts=["serial_line.cpp"],
            headers=[HERE / "serial_line.h"], arguments=verilator.SAFE, report=report,
        )  # fmt: skip
        self._library = library = ctypes.CDLL(str(path))
        serial_line.describe(library)
        pointer = ctypes.c_void_p
        for name, result, *taken in (
            ("create", pointer, ctypes.POINTER(serial_line.LineStructure)),
            ("destroy", None, pointer), ("line", pointer, pointer),
            ("run", None, pointer, ctypes.c_uint64), ("cycle", ctypes.c_uint64, pointer),
        ):  # fmt: skip
            function = getattr(library, f"board_{name}")
            function.restype, function.argtypes = result, taken
        self._handle = library.board_create(ctypes.byref(line.structure()))
        self._release = weakref.finalize(self, library.board_destroy, self._handle)
        self.line = SerialLine(library, library.board_line(self._handle))

    @property
    def quiet(self) -> bool:
        """Nothing is under way on the line."""
        return self.line.quiet

    @property
    def cycle(self) -> int:
        """Cycles of the core's clock so far."""
        return self._library.board_cycle(self._handle)

    def run(self, cycles: int) -> None:
        """Let cycles of the core pass; other threads of Python go on meanwhile."""
        self._library.board_run(self._handle, cycles)
