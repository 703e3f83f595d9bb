"""The generated Verilog, compiled by Verilator into a library, with external memory around it."""

import ctypes
import sys
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config

from .. import verilator
from .activity import SIGNALS, Activity, read_activity
from .device import Device, DeviceError
from .host import (
    HERE,
    MAX_MEMORY,
    DramTiming,
    Host,
    Pauses,
    host_objects,
    load_library,
    settings,
    source_digest,
)
from .source import core_verilog

__all__ = ["VerilatedDevice", "build_library"]

WRAPPER = HERE / "device.cpp"
PREFIX = "Vcore"
TRACE = ("--trace-vcd", "--trace-structs")


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def build_library(
    verilog: str, *, top: str = "systolith", waves: bool = False, activity: bool = False,
    report: Callable[[str], None] = _say,
) -> Path:  # fmt: skip
    """Compile ``verilog`` and everything around it, and return the library.

    It is kept in :func:`systolith_sim.verilator.cache_directory`, by a hash of all that it is
    made from, so the second call returns at once.

    Parameters
    ----------
    verilog : str
        A module ``top`` with the ports of :class:`systolith_hw.top.Systolith`.
    top : str
        Its name.
    waves : bool
        Able to write waves, which makes it slower.
    activity : bool
        Able to count what units do, which does so too.
    report : callable
        Told about what takes long.
    """
    arguments = ["-O3", *(TRACE if waves else ()), *verilator.SAFE]
    flags = [*verilator.OPTIMIZE, *verilator.definitions(waves), f"-I{HERE}"]
    watched = SIGNALS if activity else ""
    flags += ["-DWATCH_ACTIVITY"] * activity
    name = verilator.digest(
        source_digest(), WRAPPER.read_bytes(), top, *arguments, *flags, watched, verilog
    )  # fmt: skip
    directory = verilator.cache_directory() / "verilated" / name
    library = directory / "core.so"
    if library.exists():
        return library
    report("compiling the core with Verilator (under a minute, and once only)")
    runtime = ["verilated.cpp", "verilated_threads.cpp", *(["verilated_vcd_c.cpp"] * waves)]
    objects = [*host_objects(), *verilator.runtime_objects(runtime, waves=waves)]
    with verilator.staged(directory) as stage, tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        source = work / f"{top}.v"
        source.write_text(verilog)
        signals = work / "signals.vlt"
        signals.write_text(watched)
        arguments += [str(signals)] * activity
        objects += verilator.compile_design(
            source, WRAPPER, top=top, prefix=PREFIX, arguments=arguments, flags=flags
        )
        verilator.link(objects, stage / library.name, ["-shared"])
    return library


class VerilatedDevice(Device):
    """The generated Verilog at a hundred thousand cycles per second and more.

    Every cycle passes in C++: the clock, memory with the timing of :class:`DramTiming`, and the
    register port. Whatever the core does against the rules of its buses raises
    :class:`DeviceError` with the cycle and the rule.

    Parameters
    ----------
    config : Config
        The core to build.
    timing : DramTiming
        Timing of external memory.
    pauses : Pauses
        Random pauses on the buses.
    memory_bytes : int
        Size of external memory; 0 for all that the core can address, up to 256 MiB.
    waves : Path
        Where to write a VCD file of everything; large and slow.
    activity : int
        Count what units do while programs run, in bins of so many cycles; 0 to do without.
    verilog, top : str
        Another core than the one that ``config`` generates.
    report : callable
        Told about what takes long; prints on standard error unless given.
    """

    def __init__(
        self,
        config: Config,
        *,
        timing: DramTiming | None = None,
        pauses: Pauses | None = None,
        memory_bytes: int = 0,
        waves: Path | None = None,
        activity: int = 0,
        verilog: str | None = None,
        top: str = "systolith",
        report: Callable[[str], None] = _say,
    ) -> None:
        super().__init__(config, memory_bytes or min(1 << config.bus.address_bits, MAX_MEMORY))
        wanted = settings(config, self.memory_bytes, timing or DramTiming(), pauses or Pauses())
        text = core_verilog(config, report=report) if verilog is None else verilog
        path = build_library(text, top=top, waves=waves is not None, activity=activity > 0,
                             report=report)  # fmt: skip
        self._library = load_library(path)
        self._handle = self._library.device_create(ctypes.byref(wanted))
        # Also for those that nobody closes, such as in a session that ends.
        self._release = weakref.finalize(self, self._library.device_destroy, self._handle)
        host = self._library.device_host(self._handle)
        self.host = Host(self._library, host, self.memory_bytes)
        if waves is not None:
            self._library.device_trace(self._handle, str(waves).encode())
        if activity:
            self._library.device_watch(self._handle, activity)
        self.reset()

    @property
    def memory(self) -> NDArray[np.uint8]:
        """External memory itself, not a copy; gone when the device is closed."""
        if self.closed:
            raise DeviceError("the device has been closed")
        return self.host.memory

    @property
    def cycle(self) -> int:
        """Clock cycles since the device was made."""
        return self.host.cycle

    @property
    def interrupt(self) -> bool:
        """Level of the interrupt line."""
        return bool(self._library.device_irq(self._open))

    @property
    def activity(self) -> Activity:
        """What units did so far, if ``activity`` was asked for."""
        return read_activity(self._library, self._open, self.config)

    def reset(self, cycles: int = 4) -> None:
        """Pulse the reset of the core; memory keeps its contents."""
        self._library.device_reset(self._open, cycles)
        self.host.check()

    def run(self, cycles: int, *, until_interrupt: bool = False) -> int:
        """Run ``cycles`` cycles, or less if an interrupt comes first; return how many."""
        passed = self._library.device_run(self._open, cycles, until_interrupt)
        self.host.check()
        return passed

    def wait(self, cycles: int) -> bool:
        """Let at most ``cycles`` cycles pass; return early, and true, on an interrupt."""
        self.run(cycles, until_interrupt=True)
        return self.interrupt

    def read_register(self, offset: int) -> int:
        """Return the 32-bit register at byte ``offset``."""
        self.host.begin_read(offset)
        return self._access(offset)

    def write_register(self, offset: int, value: int) -> None:
        """Write the 32-bit register at byte ``offset``."""
        self.host.begin_write(offset, value)
        self._access(offset)

    def close(self) -> None:
        """Release the simulator and its memory."""
        super().close()
        self._release()

    def _access(self, offset: int) -> int:
        self._library.device_finish_access(self._open)
        return self.host.finish_access(offset)

    def _read(self, address: int, count: int) -> bytes:
        return self.memory[address : address + count].tobytes()

    def _write(self, address: int, data: bytes) -> None:
        self.memory[address : address + len(data)] = np.frombuffer(data, np.uint8)

    @property
    def _open(self) -> int:
        """The C++ object, while there is one."""
        if self.closed:
            raise DeviceError("the device has been closed")
        return self._handle
