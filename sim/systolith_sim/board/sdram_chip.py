"""Python's view of ``sdram_chip.cpp``: an SDRAM chip that a controller in a simulator drives."""

import ctypes
import functools
import weakref
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .. import verilator
from ..device.device import DeviceError

__all__ = ["CHIP_SOURCES", "Datasheet", "SdramChip", "SdramPins", "SdramSettings", "chip_settings"]

HERE = Path(__file__).parent
CHIP_SOURCES = (HERE / "sdram_chip.cpp",)
HEADERS = (HERE / "sdram_chip.h", HERE.parent / "device" / "checks.h")
OPTIMIZE = ("-O3", "-fno-plt")
INITIAL_REFRESHES = 2
POSTPONED = 8
STATISTICS = ("reads", "writes", "activates", "precharges", "refreshes")


class Datasheet(Protocol):
    """What is asked of a chip's record, such as ``systolith_fpga.memory.sdram_chips.SdramChip``.

    Its own members say what they are; times are in nanoseconds.
    """

    @property
    def row_bits(self) -> int: ...  # noqa: D102
    @property
    def column_bits(self) -> int: ...  # noqa: D102
    @property
    def bank_bits(self) -> int: ...  # noqa: D102
    @property
    def cas(self) -> int: ...  # noqa: D102
    @property
    def power_up_us(self) -> float: ...  # noqa: D102
    @property
    def refresh_ns(self) -> float: ...  # noqa: D102


TIMES = ("rcd", "rp", "ras", "ras_max", "rc", "rfc", "rrd", "wr", "mrd", "access", "hold",
         "release")  # fmt: skip


class SdramSettings(ctypes.Structure):
    """A chip at a clock; see ``sdram_chip.h``."""

    _fields_ = [
        *((name, ctypes.c_double) for name in (
            "period", *TIMES, "power_up", "refresh", "round_trip",
        )),
        *((name, ctypes.c_uint32) for name in (
            "row_bits", "column_bits", "bank_bits", "cas", "initial_refreshes", "postponed",
        )),
    ]  # fmt: skip


class SdramPins(ctypes.Structure):
    """What the controller drives, as it stands just before a rising edge of the chip's clock."""

    _fields_ = [
        *((name, ctypes.c_uint16) for name in ("address", "data")),
        *((name, ctypes.c_uint8) for name in (
            "cke", "cs_n", "ras_n", "cas_n", "we_n", "bank", "mask", "drives",
        )),
    ]  # fmt: skip


class _Statistics(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in STATISTICS]


_POINTER = ctypes.c_void_p
_PROTOTYPES: dict[str, tuple] = {
    "sdram_create": (_POINTER, ctypes.POINTER(SdramSettings)),
    "sdram_destroy": (None, _POINTER),
    "sdram_clock": (ctypes.c_uint16, _POINTER, ctypes.POINTER(SdramPins)),
    "sdram_memory": (_POINTER, _POINTER),
    "sdram_bytes": (ctypes.c_uint64, _POINTER),
    "sdram_cycle": (ctypes.c_uint64, _POINTER),
    "sdram_violation": (ctypes.c_char_p, _POINTER),
    "sdram_statistics": (None, _POINTER, ctypes.POINTER(_Statistics)),
}


def chip_settings(
    chip: Datasheet, hz: float, *, round_trip_ns: float, power_up_us: float | None = None
) -> SdramSettings:
    """Return ``SdramSettings`` of ``sdram_chip.h`` for ``chip`` at a clock of ``hz``.

    Parameters
    ----------
    chip : Datasheet
        Its record.
    hz : float
        Its clock.
    round_trip_ns : float
        Way from the controller's clock to the chip and of data back, without the chip.
    power_up_us : float
        Wait before the first command; None for the chip's own.
    """
    wait = chip.power_up_us if power_up_us is None else power_up_us
    return SdramSettings(
        period=1e9 / hz, power_up=wait * 1e3, refresh=chip.refresh_ns, round_trip=round_trip_ns,
        row_bits=chip.row_bits, column_bits=chip.column_bits, bank_bits=chip.bank_bits,
        cas=chip.cas, initial_refreshes=INITIAL_REFRESHES, postponed=POSTPONED,
        **{name: getattr(chip, name) for name in TIMES},
    )  # fmt: skip


@functools.cache
def _library() -> ctypes.CDLL:
    """Return the compiled model, compiled once."""
    texts = (path.read_bytes() for path in (*CHIP_SOURCES, *HEADERS))
    name = verilator.digest(verilator.version(), *OPTIMIZE, *texts)
    directory = verilator.cache_directory() / "sdram" / name
    if not directory.exists():
        with verilator.staged(directory) as stage:
            objects = verilator.compile_objects(CHIP_SOURCES, stage, OPTIMIZE)
            verilator.link(objects, stage / "sdram.so", ["-shared"])
    library = ctypes.CDLL(str(directory / "sdram.so"))
    for function_name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(library, function_name)
        function.restype, function.argtypes = result, arguments
    return library


class SdramChip:
    """A chip whose clock the caller passes, edge by edge, and whose bytes it may read and write.

    Parameters
    ----------
    settings : SdramSettings
        Of :func:`chip_settings`.
    """

    def __init__(self, settings: SdramSettings) -> None:
        self._library = _library()
        self._handle = self._library.sdram_create(settings)
        weakref.finalize(self, self._library.sdram_destroy, self._handle)
        size = self._library.sdram_bytes(self._handle)
        address = self._library.sdram_memory(self._handle)
        self.memory: NDArray[np.uint8] = np.ctypeslib.as_array(
            ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8)), (size,)
        )
        """The bytes that the chip holds, by address: column, bank and row from the lowest bit up.
        Not to be used after the chip is gone."""

    def clock(self, pins: SdramPins) -> int:
        """Pass a rising edge of the chip; return what the controller reads half a cycle later."""
        return self._library.sdram_clock(self._handle, pins)

    @property
    def cycle(self) -> int:
        """Edges so far."""
        return self._library.sdram_cycle(self._handle)

    @property
    def violation(self) -> str:
        """The first rule of the datasheet that was broken, in words, or nothing."""
        return self._library.sdram_violation(self._handle).decode()

    def check(self) -> None:
        """Raise if a rule was broken."""
        if self.violation:
            raise DeviceError(f"the controller broke a rule of the SDRAM: {self.violation}")

    def statistics(self) -> dict[str, int]:
        """Return the commands since the chip was made."""
        values = _Statistics()
        self._library.sdram_statistics(self._handle, values)
        return {name: getattr(values, name) for name in STATISTICS}
