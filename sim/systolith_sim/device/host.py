"""Python's view of ``host.cpp``: settings, pins, and the :class:`Host` around a core."""

import ctypes
import functools
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError

from .. import verilator
from ..dram_timing import DramTiming
from .device import DeviceError, RegisterError

__all__ = ["CoreInputs", "CoreOutputs", "DramTiming", "Host", "Pauses", "host_library"]

HERE = Path(__file__).parent
HOST_SOURCES = tuple(
    HERE / f"{name}.cpp" for name in ("dram", "axi_memory", "axi_lite_host", "host")
)
HEADERS = tuple(sorted(HERE.glob("*.h")))
OPTIMIZE = ("-O3", "-fno-plt")
MAX_BEAT_BYTES = 128
MAX_MEMORY = 1 << 28
"""Default size of memory: 256 MiB, or all that the core can address if that is less."""

ANSWERS = {2: "SLVERR", 3: "DECERR"}


@dataclass(frozen=True, kw_only=True)
class Pauses:
    """Random pauses on every channel of every bus, to test that the core bears them.

    Parameters
    ----------
    probability : float
        Of a pause, for each channel and cycle, 0 to less than 1. Above 0, reads of different
        IDs are also answered out of order.
    seed : int
        The same seed gives the same pauses.
    """

    probability: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no probability, and pauses that never end."""
        if not 0 <= self.probability < 1:
            raise ConfigError(f"probability must be in 0..1, not {self.probability}")


TIMING = ("latency", "row_beats", "row_cycles", "refresh_period", "refresh_cycles", "banks",
          "queue", "patience")  # fmt: skip
STATISTICS = ("read_bursts", "write_bursts", "read_beats", "write_beats", "row_misses",
              "refresh_cycles")  # fmt: skip


class _Timing(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("word_bytes", *TIMING)]


class _Settings(ctypes.Structure):
    _fields_ = [
        ("memory_bytes", ctypes.c_uint64),
        ("seed", ctypes.c_uint64),
        ("beat_bytes", ctypes.c_uint32),
        ("stall", ctypes.c_uint32),
        ("timing", _Timing),
    ]


class _Statistics(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in STATISTICS]


class CoreOutputs(ctypes.Structure):
    """What the core drives, as it stands just before a rising edge; see ``pins.h``."""

    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("araddr", "awaddr", "axil_rdata")),
        *((name, ctypes.c_uint8) for name in (
            "arvalid", "arid", "arlen", "arsize", "arburst",
            "awvalid", "awid", "awlen", "awsize", "awburst",
            "wvalid", "wlast", "rready", "bready",
            "axil_awready", "axil_wready", "axil_bvalid", "axil_bresp",
            "axil_arready", "axil_rvalid", "axil_rresp", "irq",
        )),
        ("wstrb", ctypes.c_uint8 * (MAX_BEAT_BYTES // 8)),
        ("wdata", ctypes.c_uint8 * MAX_BEAT_BYTES),
    ]  # fmt: skip


class CoreInputs(ctypes.Structure):
    """What the core is given from just after an edge to the next one; see ``pins.h``."""

    _fields_ = [
        ("axil_wdata", ctypes.c_uint32),
        ("axil_awaddr", ctypes.c_uint16),
        ("axil_araddr", ctypes.c_uint16),
        *((name, ctypes.c_uint8) for name in (
            "rst", "arready", "awready", "wready", "rvalid", "rid", "rresp", "rlast",
            "bvalid", "bid", "bresp", "axil_awvalid", "axil_wvalid", "axil_wstrb",
            "axil_bready", "axil_arvalid", "axil_rready",
        )),
        ("rdata", ctypes.c_uint8 * MAX_BEAT_BYTES),
    ]  # fmt: skip


def settings(
    config: Config, memory_bytes: int, timing: DramTiming, pauses: Pauses
) -> ctypes.Structure:
    """Return ``HostSettings`` of ``host.h``."""
    beat = config.bus.data_bytes
    word = timing.port_bytes or beat
    if word > beat or word & (word - 1):
        raise ConfigError(
            f"port_bytes must be a power of two up to bus.data_bytes {beat}, not {word}"
        )
    return _Settings(
        memory_bytes=memory_bytes,
        seed=pauses.seed,
        beat_bytes=beat,
        stall=round(pauses.probability * (1 << 16)),
        timing=_Timing(
            word_bytes=word,
            **{name: getattr(timing, name) for name in TIMING},
        ),
    )


_POINTER = ctypes.c_void_p
_U32, _U64, _INT = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int
_PROTOTYPES: dict[str, tuple] = {
    "host_create": (_POINTER, ctypes.POINTER(_Settings)),
    "host_destroy": (None, _POINTER),
    "host_reset": (None, _POINTER, _U32),
    "host_clock": (None, _POINTER, ctypes.POINTER(CoreOutputs), ctypes.POINTER(CoreInputs)),
    "host_inputs": (None, _POINTER, ctypes.POINTER(CoreInputs)),
    "host_cycle": (_U64, _POINTER),
    "host_violation": (ctypes.c_char_p, _POINTER),
    "host_memory": (_POINTER, _POINTER),
    "host_statistics": (None, _POINTER, ctypes.POINTER(_Statistics)),
    "host_refuse": (None, _POINTER, _U64, _U64),
    "host_hang": (None, _POINTER, _INT, _INT),
    "host_behave": (None, _POINTER),
    "host_begin_read": (None, _POINTER, _U32),
    "host_begin_write": (None, _POINTER, _U32, _U32),
    "host_busy": (_INT, _POINTER),
    "host_value": (_U32, _POINTER),
    "host_response": (_U32, _POINTER),
    "device_create": (_POINTER, ctypes.POINTER(_Settings)),
    "device_destroy": (None, _POINTER),
    "device_host": (_POINTER, _POINTER),
    "device_reset": (None, _POINTER, _U32),
    "device_irq": (_INT, _POINTER),
    "device_finish_access": (None, _POINTER),
    "device_run": (_U64, _POINTER, _U64, _INT),
    "device_trace": (_INT, _POINTER, ctypes.c_char_p),
    "device_watch": (None, _POINTER, _U64),
    "device_activity": (_POINTER, _POINTER, _INT, ctypes.POINTER(_U64)),
    "device_watched_cycles": (_U64, _POINTER),
}


def load_library(path: Path) -> ctypes.CDLL:
    """Load a library made from ``host.cpp``, with or without ``device.cpp``."""
    library = ctypes.CDLL(str(path))
    for name, (result, *arguments) in _PROTOTYPES.items():
        if hasattr(library, name):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    return library


def source_digest() -> str:
    """Return a name for everything that a library with the host is made from."""
    texts = (path.read_bytes() for path in (*HOST_SOURCES, *HEADERS))
    return verilator.digest(verilator.version(), *OPTIMIZE, *texts)


def host_objects() -> list[Path]:
    """Return the compiled host, compiled once."""
    directory = verilator.cache_directory() / "host" / source_digest()
    if not directory.exists():
        with verilator.staged(directory) as stage:
            verilator.compile_objects(HOST_SOURCES, stage, OPTIMIZE)
            verilator.link(sorted(stage.glob("*.o")), stage / "host.so", ["-shared"])
    return [directory / f"{source.stem}.o" for source in HOST_SOURCES]


@functools.cache
def host_library() -> ctypes.CDLL:
    """Return the host as a library of its own, without a core."""
    return load_library(host_objects()[0].parent / "host.so")


class Host:
    """Memory and register access around a core, advanced one rising edge at a time.

    Parameters
    ----------
    library : CDLL
        From :func:`load_library`.
    handle : int
        Address of the C++ object.
    memory_bytes : int
        Size of its memory.
    """

    def __init__(self, library: ctypes.CDLL, handle: int, memory_bytes: int) -> None:
        self._library = library
        self._handle = handle
        self.memory_bytes = memory_bytes
        address = library.host_memory(handle)
        if not address:
            raise DeviceError(f"there is no room for a memory of {memory_bytes} bytes")
        self._memory = np.ctypeslib.as_array(
            ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8)), (memory_bytes,)
        )

    @classmethod
    def alone(
        cls,
        config: Config,
        *,
        memory_bytes: int = 1 << 20,
        timing: DramTiming | None = None,
        pauses: Pauses | None = None,
    ) -> Self:
        """Return a host whose core is played by the caller, with :meth:`clock`."""
        library = host_library()
        wanted = settings(config, memory_bytes, timing or DramTiming(), pauses or Pauses())
        handle = library.host_create(wanted)
        host = cls(library, handle, memory_bytes)
        weakref.finalize(host, library.host_destroy, handle)
        return host

    @property
    def memory(self) -> NDArray[np.uint8]:
        """The bytes of external memory; not to be used after the host is gone."""
        return self._memory

    @property
    def cycle(self) -> int:
        """Rising edges so far."""
        return self._library.host_cycle(self._handle)

    @property
    def violation(self) -> str:
        """The first rule of the bus that the core broke, in words, or nothing."""
        return self._library.host_violation(self._handle).decode()

    def statistics(self) -> dict[str, int]:
        """Return what memory has counted since it was made."""
        values = _Statistics()
        self._library.host_statistics(self._handle, values)
        return {name: getattr(values, name) for name in STATISTICS}

    def refuse(self, start: int, end: int) -> None:
        """Answer accesses that touch bytes ``start`` to ``end - 1`` with SLVERR from now on."""
        self._library.host_refuse(self._handle, start, end)

    def hang(self, *, reads: bool = False, writes: bool = False) -> None:
        """Accept requests but never answer them from now on."""
        self._library.host_hang(self._handle, reads, writes)

    def behave(self) -> None:
        """Take back :meth:`refuse` and :meth:`hang`."""
        self._library.host_behave(self._handle)

    def reset(self, cycles: int = 4) -> None:
        """Drive reset for the next ``cycles`` edges; memory keeps its contents."""
        self._library.host_reset(self._handle, cycles)

    def begin_read(self, offset: int) -> None:
        """Begin to read a register; it goes on until :attr:`busy` is false."""
        self._library.host_begin_read(self._handle, offset)

    def begin_write(self, offset: int, value: int) -> None:
        """Begin to write a register; it goes on until :attr:`busy` is false."""
        self._library.host_begin_write(self._handle, offset, value)

    @property
    def busy(self) -> bool:
        """A register access is under way."""
        return bool(self._library.host_busy(self._handle))

    def finish_access(self, offset: int) -> int:
        """Return the value of the register access that is over, or raise what went wrong."""
        self.check()
        answer = self._library.host_response(self._handle)
        if answer:
            raise RegisterError(
                f"the core answered an access to register {offset:#x} with "
                f"{ANSWERS.get(answer, answer)}"
            )
        return self._library.host_value(self._handle)

    def check(self) -> None:
        """Raise if the core broke a rule of the bus."""
        if self.violation:
            raise DeviceError(f"the core broke a rule of its bus: {self.violation}")

    def inputs(self) -> CoreInputs:
        """Return what the core is given in this cycle."""
        inputs = CoreInputs()
        self._library.host_inputs(self._handle, inputs)
        return inputs

    def clock(self, outputs: CoreOutputs, inputs: CoreInputs) -> None:
        """Pass one rising edge: take the core's ``outputs``, give the next cycle's ``inputs``."""
        self._library.host_clock(self._handle, outputs, inputs)
