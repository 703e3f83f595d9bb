"""The part of :class:`~systolith_sim.device.icarus.IcarusDevice` that runs in the simulator."""

import ctypes
import json
import os
from multiprocessing.connection import Client

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from systolith_hw.config import Config

from .device import DeviceError, RegisterError
from .host import CoreInputs, CoreOutputs, DramTiming, Host, Pauses

CHANNELS = {
    "arvalid": ("arid", "araddr", "arlen", "arsize", "arburst"),
    "awvalid": ("awid", "awaddr", "awlen", "awsize", "awburst"),
    "wvalid": ("wlast", "wstrb", "wdata"),
    "rready": (),
    "bready": (),
    "axil_awready": (),
    "axil_wready": (),
    "axil_bvalid": ("axil_bresp",),
    "axil_arready": (),
    "axil_rvalid": ("axil_rresp", "axil_rdata"),
    "irq": (),
}
"""What is sampled in every cycle, and what then, if it is one."""


class Bench:
    """A core in the simulator with a :class:`Host` around it; each method is one request."""

    def __init__(self, dut, host: Host) -> None:
        self.clk = dut.clk
        self.host = host
        self.outputs, self.inputs = CoreOutputs(), host.inputs()
        self.driven = {field[0]: getattr(dut, _pin(field[0])) for field in CoreInputs._fields_}
        self.levels: dict[str, int] = {}
        self.sampled = {
            valid: (getattr(dut, _pin(valid)), {name: getattr(dut, _pin(name)) for name in payload})
            for valid, payload in CHANNELS.items()
        }
        self._drive(self.inputs)

    async def reset(self, cycles: int) -> None:
        """Hold reset for ``cycles`` edges, and run one cycle more."""
        self.host.reset(cycles)
        self.inputs = self.host.inputs()
        self._drive(self.inputs)
        await self._run(cycles + 1)

    async def wait(self, cycles: int) -> bool:
        """Run until an interrupt, or for ``cycles`` cycles."""
        await self._run(cycles, until_interrupt=True)
        return bool(self.outputs.irq)

    async def read_register(self, offset: int) -> int:
        """Run until a register has been read."""
        self.host.begin_read(offset)
        return await self._access(offset)

    async def write_register(self, offset: int, value: int) -> None:
        """Run until a register has been written."""
        self.host.begin_write(offset, value)
        await self._access(offset)

    async def read_memory(self, address: int, count: int) -> bytes:
        """Return bytes of memory."""
        return self.host.memory[address : address + count].tobytes()

    async def write_memory(self, address: int, data: bytes) -> None:
        """Change bytes of memory."""
        self.host.memory[address : address + len(data)] = np.frombuffer(data, np.uint8)

    async def cycle(self) -> int:
        """Return the edges so far."""
        return self.host.cycle

    async def statistics(self) -> dict[str, int]:
        """Return what memory has counted."""
        return self.host.statistics()

    async def _run(self, cycles: int, *, until_interrupt: bool = False) -> None:
        for _ in range(cycles):
            await self._clock()
            self.host.check()
            if until_interrupt and self.outputs.irq:
                break

    async def _access(self, offset: int) -> int:
        while self.host.busy and not self.host.violation:
            await self._clock()
        return self.host.finish_access(offset)

    async def _clock(self) -> None:
        """Pass one rising edge; what is read at the edge is from before it."""
        await RisingEdge(self.clk)
        for valid, (pin, payload) in self.sampled.items():
            level = self._sample(valid, pin)
            setattr(self.outputs, valid, level)
            if level:
                for name, part in payload.items():
                    _set(self.outputs, name, self._sample(name, part))
        self.host.clock(self.outputs, self.inputs)
        self._drive(self.inputs)

    def _sample(self, name: str, pin) -> int:
        value = pin.value
        if value.is_resolvable:
            return int(value)
        if self.inputs.rst:
            return 0  # before the first edges of reset a core may not know what it drives
        raise DeviceError(f"the core drives {_pin(name)} with {value}, in cycle {self.host.cycle}")

    def _drive(self, inputs: CoreInputs) -> None:
        for name, pin in self.driven.items():
            value = _get(inputs, name)
            if value != self.levels.get(name):
                pin.value = value & (1 << len(pin)) - 1
                self.levels[name] = value


def _pin(name: str) -> str:
    if name in ("rst", "irq"):
        return name
    return f"s_{name}" if name.startswith("axil_") else f"m_axi_{name}"


def _get(structure: ctypes.Structure, name: str) -> int:
    value = getattr(structure, name)
    return value if isinstance(value, int) else int.from_bytes(bytes(value), "little")


def _set(structure: ctypes.Structure, name: str, value: int) -> None:
    field = getattr(structure, name)
    if isinstance(field, int):
        setattr(structure, name, value)
    else:
        field[:] = value.to_bytes(len(field), "little")


@cocotb.test()
async def serve(dut) -> None:
    """Do what the device asks for until it closes."""
    address, key = json.loads(os.environ["SYSTOLITH_BENCH"])
    job = json.loads(os.environ["SYSTOLITH_JOB"])
    with Client(address, authkey=bytes.fromhex(key)) as connection:
        host = Host.alone(
            Config.from_dict(job["config"]), memory_bytes=job["memory_bytes"],
            timing=DramTiming(**job["timing"]), pauses=Pauses(**job["pauses"]),
        )  # fmt: skip
        bench = Bench(dut, host)
        Clock(dut.clk, 10, unit="ns").start(start_high=False)
        await bench.reset(4)
        connection.send(("done", None))
        # Waiting for the next request stops simulated time, which is just what is wanted.
        while (request := connection.recv()) is not None:
            name, arguments = request
            try:
                connection.send(("done", await getattr(bench, name)(*arguments)))
            except RegisterError as error:
                connection.send(("register error", str(error)))
            except DeviceError as error:
                connection.send(("device error", str(error)))
