"""A verilated bridge of the host link with its serial line, plain memory and registers."""

import ctypes
import re
import weakref

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError

from .library import HERE, board_library
from .serial_line import SerialLine, SerialSettings, describe

__all__ = ["LinkBoard"]

MAX_BYTES = 4
REGISTERS = 64
PORT = re.compile(r"\b(?:load|store|registers)__\w+")


class LinkBoard:
    """The bridge without a core. Registers hold what is written, or what a test puts there.

    Parameters
    ----------
    config : Config
        Of the bridge; uses ``bus``, which has at most 4 ``data_bytes``.
    verilog : str
        A module ``bridge`` with the ports of ``systolith_fpga.link.link_bridge.LinkBridge``.
    memory_bytes : int
        Size of memory, which begins as zeros.
    line : SerialSettings
        Of the line.
    """

    def __init__(
        self, config: Config, verilog: str, memory_bytes: int, line: SerialSettings
    ) -> None:
        if config.bus.data_bytes > MAX_BYTES:
            raise ConfigError(
                f"the bare bridge is simulated with bus.data_bytes of up to {MAX_BYTES}, not "
                f"{config.bus.data_bytes}"
            )
        path = board_library(
            # Verilator spells two underscores out.
            "link", PORT.sub(lambda port: port[0].replace("__", "_"), verilog), top="bridge",
            main="link_board.cpp", parts=["serial_line.cpp"], headers=[HERE / "serial_line.h"],
            definitions=[
                f"-DDATA_BYTES={config.bus.data_bytes}", f"-DADDRESS_BITS={config.bus.address_bits}"
            ],
        )  # fmt: skip
        self._library = library = ctypes.CDLL(str(path))
        describe(library)
        pointer = ctypes.c_void_p
        library.board_create.restype = library.board_line.restype = pointer
        library.board_memory.restype = library.board_registers.restype = pointer
        library.board_accesses.restype = ctypes.c_uint64
        library.board_run.argtypes = [pointer, ctypes.c_uint64]
        library.board_interrupt.argtypes = [pointer, ctypes.c_int]
        for name in ("destroy", "line", "memory", "registers", "accesses"):
            getattr(library, f"board_{name}").argtypes = [pointer]
        library.board_create.argtypes = [pointer, ctypes.c_uint32]
        self._handle = library.board_create(ctypes.byref(line.structure()), memory_bytes)
        self._release = weakref.finalize(self, library.board_destroy, self._handle)
        self.line = SerialLine(library, library.board_line(self._handle))
        raw = (ctypes.c_uint8 * memory_bytes).from_address(library.board_memory(self._handle))
        words = (ctypes.c_uint32 * REGISTERS).from_address(library.board_registers(self._handle))
        self.memory: NDArray[np.uint8] = np.ctypeslib.as_array(raw)
        self.registers: NDArray[np.uint32] = np.ctypeslib.as_array(words)

    @property
    def accesses(self) -> int:
        """Accesses of registers so far."""
        return self._library.board_accesses(self._handle)

    @property
    def quiet(self) -> bool:
        """Nobody waits for time to pass."""
        return self.line.quiet

    def interrupt(self, level: bool) -> None:
        """Set the interrupt line."""
        self._library.board_interrupt(self._handle, level)

    def run(self, cycles: int) -> None:
        """Let cycles pass; other threads of Python go on meanwhile."""
        self._library.board_run(self._handle, cycles)
