"""The whole core as emitted Verilog, with host and memory around it, on each of its buses.

The bench does a :class:`jobs.Job` from files, without knowing what it computes. The devices of
:mod:`systolith_sim.device` are not used here: two independent opinions of what AXI is.
"""

from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

import copier
from axi_sides import AxiSides
from bus_memory import BusMemory
from harness import BUILD, run_verilog, settings_from_env
from jobs import Job, Region, Run
from native_sides import NativeSides
from systolith_hw.config import BusConfig, Config
from systolith_hw.registers import REGISTERS, Control, Interrupt, Status
from wishbone_sides import WishboneSides

SIDES = {"axi4": AxiSides, "wishbone": WishboneSides, "native": NativeSides}
PAUSES = (0.0, 0.2, 0.6)
"""Probabilities that a channel does not go on in a cycle."""

OFFSETS = {register.name: register.offset for register in REGISTERS}


class Bench:
    """A core between a host and memory that pause with probability ``pause`` on every channel."""

    def __init__(self, dut, job: Job, bus: str, pause: float) -> None:
        self.dut = dut
        self.job = job
        self.memory = BusMemory(job.memory_bytes)
        Clock(dut.clk, 10, unit="ns").start()
        self.sides: Any = SIDES[bus](dut, self.memory, pause)

    async def reset(self, cycles: int) -> None:
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, cycles)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def write(self, register: str, value: int) -> None:
        await self.sides.write(OFFSETS[register], value)

    async def read(self, register: str) -> int:
        return await self.sides.read(OFFSETS[register])

    def fill(self, regions: list[Region]) -> None:
        for region in regions:
            end = region.address + len(region.data)
            self.memory.bytes[region.address : end] = region.data.tobytes()

    async def run(self, item: Run) -> None:
        """Start the program, wait for its interrupt, and look at what it left."""
        self.fill(item.before)
        self.memory.refused = item.refused
        if item.program >= 0:
            await self.write("PROGRAM", item.program)
        await self.write("LENGTH", item.length)
        await self.write("POSITION", item.position)
        await self.write("IRQ_ENABLE", Interrupt.DONE | Interrupt.ERROR)
        await self.write("CONTROL", Control.START)
        for _ in range(self.job.cycles):
            await RisingEdge(self.dut.clk)
            if self.dut.irq.value:
                break
        else:
            raise AssertionError(f"no interrupt after {self.job.cycles} cycles")
        while (status := await self.read("STATUS")) & Status.RUNNING:
            pass  # with an error, until the bus is at rest
        error = await self.read("ERROR")
        assert error == item.error, f"status {Status(status)!r}, error {error:#x}"
        assert status == (Status.ERROR if item.error else Status.DONE)
        await self.write("IRQ_PENDING", Interrupt.DONE | Interrupt.ERROR)
        if item.error:
            await self.write("CONTROL", Control.RESET)
            await ClockCycles(self.dut.clk, 200)
        for region in item.after:
            end = region.address + len(region.data)
            found = np.frombuffer(self.memory.bytes[region.address : end], np.uint8)
            different = np.flatnonzero(found != region.data)
            assert not len(different), (
                f"{len(different)} of {len(found)} bytes from {region.address:#x} differ, the "
                f"first at {region.address + different[0]:#x}"
            )


SHOWN = {
    "axi4": {
        "irq": (), "s_axil_bvalid": ("s_axil_bresp",), "s_axil_rvalid": ("s_axil_rresp",),
        "s_axil_awready": (), "s_axil_wready": (), "s_axil_arready": (), "m_axi_bready": (),
        "m_axi_rready": (), "m_axi_wvalid": ("m_axi_wstrb", "m_axi_wlast"),
        **{f"m_axi_{way}valid": tuple(f"m_axi_{way}{name}" for name in
                                      ("id", "addr", "len", "size", "burst"))
           for way in ("ar", "aw")},
    },
    "wishbone": {
        "irq": (), "s_wb_ack": (), "s_wb_err": (), "m_wb_cyc": (),
        "m_wb_stb": ("m_wb_we", "m_wb_adr", "m_wb_sel", "m_wb_cti", "m_wb_bte"),
    },
    "native": {
        "irq": (), "register_valid": (), "fetch_data_ready": (), "load_data_ready": (),
        "store_data_valid": ("store_data_strobe", "store_data_last"),
        **{f"{unit}_request_valid": (f"{unit}_request_address", f"{unit}_request_last")
           for unit in ("fetch", "load", "store")},
    },
}  # fmt: skip
"""Outputs that are known at all times, and those that are where the former are one."""


async def watch_outputs(dut, bus: str) -> None:
    """Check that whatever tells others what to do is zero or one."""
    while True:
        await RisingEdge(dut.clk)
        await ReadOnly()
        for name, others in SHOWN[bus].items():
            level = getattr(dut, name).value
            assert level.is_resolvable, f"{name} is {level}"
            for other in others if level else ():
                value = getattr(dut, other).value
                assert value.is_resolvable, f"{name} is 1, and {other} is {value}"


@cocotb.test(timeout_time=100, timeout_unit="ms")
@cocotb.parametrize(pause=PAUSES)
async def does_its_job(dut, pause):
    settings = settings_from_env()
    if pause not in settings["pauses"]:
        return
    job = Job.load(Path(settings["job"]))
    bench = Bench(dut, job, settings["bus"], pause)
    bench.fill(job.memory)
    await bench.reset(settings["reset_cycles"])
    if settings["watch"]:
        cocotb.start_soon(watch_outputs(dut, settings["bus"]))
    await bench.write("WATCHDOG", 0)  # no reset changes it
    await bench.write("PROGRAM", job.program_address)
    for item in job.runs:
        await bench.run(item)
    if settings["bus"] == "axi4" and settings["reorders"] and pause:
        assert bench.sides.overtaken, "memory has answered everything in order"


def run_job(
    verilog: str, config: Config, job: Job, *, top: str, tag: str, sim: str, seed: int,
    bus: str = "axi4", reorders: bool = False, pauses: tuple[float, ...] = PAUSES,
    reset_cycles: int = 4, watch: bool = False,
) -> None:  # fmt: skip
    """Do ``job`` in a simulator on module ``top`` of ``verilog``, which has one of the buses.

    With ``watch``, outputs must be known from the end of reset on, in a simulator that knows what
    is not. With ``reorders``, a memory that pauses must have found reads that may be answered in
    another order.
    """
    file = job.save(BUILD / f"job-{tag}-{sim}")
    run_verilog(
        verilog, config, top=top, test_module="test_top", tag=tag, sim=sim, seed=seed,
        settings={"job": str(file), "bus": bus, "reorders": reorders, "pauses": pauses,
                  "reset_cycles": reset_cycles, "watch": watch},
    )  # fmt: skip


@pytest.mark.parametrize("data_bytes", [2, 16])
def test_bench_with_a_core_that_copies(data_bytes, sim, seed):
    """The bench itself, on a core that is known to be right."""
    config = Config(bus=BusConfig(data_bytes=data_bytes))
    bursts, size = 4, 4 * 32 * data_bytes
    data = np.random.default_rng(seed).integers(0, 256, 2 * size, dtype=np.uint8)
    later = data[::-1]
    job = Job(
        program_address=0x1000,
        memory=[Region(0x1000, data)],
        runs=[
            Run(length=bursts, position=0x8000, after=[Region(0x8000, data[:size])]),
            Run(length=2 * bursts, position=0xA000, before=[Region(0x1000, later)],
                after=[Region(0xA000, later), Region(0x8000, data[:size])]),
        ],
    )  # fmt: skip
    run_job(
        copier.verilog(data_bytes=data_bytes), config, job, top="copier",
        tag=f"copier{data_bytes}", sim=sim, seed=seed,
    )  # fmt: skip
