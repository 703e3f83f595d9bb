"""Python's view of ``spi_flash.cpp``: an SPI flash chip that somebody in a simulator reads."""

import ctypes
import functools
import weakref
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .. import verilator
from ..device.device import DeviceError

__all__ = ["FLASH_SOURCES", "Datasheet", "FlashSettings", "SpiFlashChip", "flash_settings"]

HERE = Path(__file__).parent
FLASH_SOURCES = (HERE / "spi_flash.cpp",)
HEADERS = (HERE / "spi_flash.h", HERE.parent / "device" / "checks.h")


class Datasheet(Protocol):
    """What is asked of a chip's record, such as
    ``systolith_fpga.standalone.spi_flash.SpiFlash``."""

    @property
    def bytes(self) -> int: ...  # noqa: D102
    @property
    def max_hz(self) -> float: ...  # noqa: D102
    @property
    def valid_ns(self) -> float: ...  # noqa: D102
    @property
    def select_ns(self) -> float: ...  # noqa: D102
    @property
    def deselect_ns(self) -> float: ...  # noqa: D102


class FlashSettings(ctypes.Structure):
    """``SpiFlashSettings`` of ``spi_flash.h``, which tells of them."""

    _fields_ = [
        *((name, ctypes.c_double) for name in ("period", "valid", "clock", "select", "deselect")),
        *((name, ctypes.c_uint32) for name in ("bytes", "seed")),
    ]  # fmt: skip


def flash_settings(
    chip: Datasheet, hz: float, *, round_trip_ns: float, seed: int = 1
) -> FlashSettings:
    """Return a chip that is read with a clock of ``hz``.

    Parameters
    ----------
    chip : Datasheet
    hz : float
        Of whoever reads it.
    round_trip_ns : float
        Way of its clock to the chip and of data back, without the chip.
    seed : int
        Of what is on the line while the chip says nothing.
    """
    return FlashSettings(
        period=1e9 / hz, valid=chip.valid_ns + round_trip_ns, clock=1e9 / chip.max_hz,
        select=chip.select_ns, deselect=chip.deselect_ns, bytes=chip.bytes, seed=seed,
    )  # fmt: skip


@functools.cache
def _library() -> ctypes.CDLL:
    """Return the compiled model, compiled once."""
    texts = (path.read_bytes() for path in (*FLASH_SOURCES, *HEADERS))
    directory = verilator.cache_directory() / "flash" / verilator.digest(*texts)
    if not directory.exists():
        with verilator.staged(directory) as stage:
            objects = verilator.compile_objects(FLASH_SOURCES, stage, ["-O2"])
            verilator.link(objects, stage / "flash.so", ["-shared"])
    library = ctypes.CDLL(str(directory / "flash.so"))
    handle, number = ctypes.c_void_p, ctypes.c_uint64
    for name, result, *taken in (
        ("create", handle, ctypes.POINTER(FlashSettings)), ("destroy", None, handle),
        ("clock", ctypes.c_int, handle, *[ctypes.c_int] * 3), ("memory", handle, handle),
        ("violation", ctypes.c_char_p, handle), ("reads", number, handle),
        ("bytes_read", number, handle),
    ):  # fmt: skip
        function = getattr(library, f"flash_{name}")
        function.restype, function.argtypes = result, taken
    return library


class SpiFlashChip:
    """A chip whose reader's clock the caller passes, edge by edge.

    Parameters
    ----------
    settings : FlashSettings
        Of :func:`flash_settings`.
    """

    def __init__(self, settings: FlashSettings) -> None:
        self._library = library = _library()
        self._handle = library.flash_create(settings)
        weakref.finalize(self, library.flash_destroy, self._handle)
        raw = (ctypes.c_uint8 * settings.bytes).from_address(library.flash_memory(self._handle))
        self.memory: NDArray[np.uint8] = np.ctypeslib.as_array(raw)
        """Its bytes, by address. Not to be used after the chip is gone."""

    def clock(self, cs_n: int, clk: int, copi: int) -> int:
        """Pass a rising edge of the reader's clock; return what it takes there."""
        return self._library.flash_clock(self._handle, cs_n, clk, copi)

    @property
    def violation(self) -> str:
        """The first rule that was broken, in words, or nothing."""
        return self._library.flash_violation(self._handle).decode()

    @property
    def reads(self) -> int:
        """Commands so far."""
        return self._library.flash_reads(self._handle)

    @property
    def bytes_read(self) -> int:
        """Bytes that were taken so far."""
        return self._library.flash_bytes_read(self._handle)

    def check(self) -> None:
        """Raise if a rule was broken."""
        if self.violation:
            raise DeviceError(f"a rule of the flash chip was broken: {self.violation}")
