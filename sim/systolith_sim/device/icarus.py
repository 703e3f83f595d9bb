"""The generated Verilog in Icarus, with the same external memory, cycle by cycle, as Verilator."""

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

from systolith_hw.config import Config

from .. import cosimulation, verilator
from .device import Device, DeviceError, RegisterError
from .host import MAX_MEMORY, DramTiming, Pauses, host_library
from .source import core_verilog

__all__ = ["IcarusDevice"]

SIMULATOR = "icarus"
BENCH = "systolith_sim.device.icarus_bench"
ENDED = "ended"


class IcarusDevice(Device):
    """The generated Verilog at some thousand cycles per second, in a simulator of its own.

    A cocotb bench, :mod:`systolith_sim.device.icarus_bench`, runs in the simulator and does what
    this object asks for, through a socket. Memory is the C++ that
    :class:`~systolith_sim.device.verilated.VerilatedDevice` uses, so both count the same cycles.

    Parameters
    ----------
    config, timing, pauses, memory_bytes, verilog, top, report
        As for :class:`~systolith_sim.device.verilated.VerilatedDevice`.
    """

    def __init__(
        self,
        config: Config,
        *,
        timing: DramTiming | None = None,
        pauses: Pauses | None = None,
        memory_bytes: int = 0,
        verilog: str | None = None,
        top: str = "systolith",
        report: Callable[[str], None] = print,
    ) -> None:
        super().__init__(config, memory_bytes or min(1 << config.bus.address_bits, MAX_MEMORY))
        reason = cosimulation.missing(SIMULATOR)
        if reason:
            raise verilator.ToolError(reason)
        text = core_verilog(config, report=report) if verilog is None else verilog
        directory = verilator.cache_directory() / SIMULATOR / verilator.digest(top, text)
        if not directory.exists():
            report("compiling the core with Icarus")
            with verilator.staged(directory) as stage:
                cosimulation.build(text, top, stage, SIMULATOR)
        host_library()  # built here, where it can be reported, and not inside the simulator
        self._start(top, directory, {
            "config": config.to_dict(),
            "timing": asdict(timing or DramTiming()),
            "pauses": asdict(pauses or Pauses()),
            "memory_bytes": self.memory_bytes,
        })  # fmt: skip

    def _start(self, top: str, directory: Path, job: dict[str, Any]) -> None:
        """Start the simulator in a thread, and wait until its bench calls back."""
        key = os.urandom(16)
        self._work = tempfile.TemporaryDirectory(prefix="systolith-")
        listener = Listener(authkey=key)
        address = listener.address
        environment = {
            "SYSTOLITH_BENCH": json.dumps([address, key.hex()]),
            "SYSTOLITH_JOB": json.dumps(job),
        }

        def simulate() -> None:
            try:
                # How it ended is seen by the socket that closes.
                with contextlib.suppress(verilator.ToolError):
                    cosimulation.run(BENCH, top, directory, SIMULATOR,
                                     environment=environment, work=Path(self._work.name))
            finally:
                # The bench may have ended before it called: the constructor must not wait for it.
                with contextlib.suppress(OSError), Client(address, authkey=key) as late:
                    late.send(ENDED)

        self._thread = threading.Thread(target=simulate, daemon=True)
        self._thread.start()
        self._connection = listener.accept()
        listener.close()
        self._receive()

    def _ask(self, name: str, *arguments: Any) -> Any:
        """Have the bench call its method ``name``, and return the result."""
        if self.closed:
            raise DeviceError("the device has been closed")
        self._connection.send((name, arguments))
        return self._receive()

    def _receive(self) -> Any:
        try:
            kind, value = self._connection.recv()
        except (EOFError, ConnectionError, ValueError):
            self._thread.join()
            log = Path(self._work.name) / cosimulation.LOG
            tail = log.read_text().splitlines()[-30:] if log.exists() else []
            raise DeviceError("\n".join(["the simulator ended on its own:", *tail])) from None
        if kind == "register error":
            raise RegisterError(value)
        if kind == "device error":
            raise DeviceError(value)
        return value

    @property
    def cycle(self) -> int:
        """Clock cycles since the device was made."""
        return self._ask("cycle")

    def statistics(self) -> dict[str, int]:
        """Return what memory has counted."""
        return self._ask("statistics")

    def reset(self, cycles: int = 4) -> None:
        """Pulse the reset of the core; memory keeps its contents."""
        self._ask("reset", cycles)

    def wait(self, cycles: int) -> bool:
        """Let at most ``cycles`` cycles pass; return early, and true, on an interrupt."""
        return self._ask("wait", cycles)

    def read_register(self, offset: int) -> int:
        """Return the 32-bit register at byte ``offset``."""
        return self._ask("read_register", offset)

    def write_register(self, offset: int, value: int) -> None:
        """Write the 32-bit register at byte ``offset``."""
        self._ask("write_register", offset, value)

    def close(self) -> None:
        """End the simulator."""
        if not self.closed:
            super().close()
            with contextlib.suppress(OSError):
                self._connection.send(None)
            self._connection.close()
            self._thread.join()
            self._work.cleanup()

    def _read(self, address: int, count: int) -> bytes:
        return self._ask("read_memory", address, count)

    def _write(self, address: int, data: bytes) -> None:
        self._ask("write_memory", address, data)
