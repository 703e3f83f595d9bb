"""The whole core as emitted Verilog, with cocotbext-axi's memory and host around it.

The bench does a :class:`jobs.Job` from files, without knowing what it computes. The devices of
:mod:`systolith_sim.device` are not used here: two independent opinions of what AXI is.
"""

import itertools
import random
from pathlib import Path

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

import copier
from harness import BUILD, run_verilog, settings_from_env
from jobs import Job, Region, Run
from systolith_hw.config import BusConfig, Config
from systolith_hw.registers import REGISTERS, Control, Interrupt, Status

OFFSETS = {register.name: register.offset for register in REGISTERS}


class Bench:
    """A core between a host and memory that pause with probability ``pause`` on every channel."""

    def __init__(self, dut, job: Job, pause: float) -> None:
        self.dut = dut
        self.job = job
        Clock(dut.clk, 10, unit="ns").start()
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.ram = AxiRam(
            AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=job.memory_bytes
        )
        for side in (self.host, self.ram):
            for channel in (
                side.write_if.aw_channel, side.write_if.w_channel, side.write_if.b_channel,
                side.read_if.ar_channel, side.read_if.r_channel,
            ):  # fmt: skip
                channel.log.setLevel("WARNING")
                if pause:
                    channel.set_pause_generator(
                        random.random() < pause for _ in itertools.count()
                    )
        for log in (self.host.write_if.log, self.host.read_if.log,
                    self.ram.write_if.log, self.ram.read_if.log):  # fmt: skip
            log.setLevel("WARNING")

    async def reset(self) -> None:
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def write(self, register: str, value: int) -> None:
        await self.host.write_dword(OFFSETS[register], value)

    async def read(self, register: str) -> int:
        return await self.host.read_dword(OFFSETS[register])

    def fill(self, regions: list[Region]) -> None:
        for region in regions:
            self.ram.write(region.address, region.data.tobytes())

    async def run(self, item: Run) -> None:
        """Start the program, wait for its interrupt, and look at what it left."""
        self.fill(item.before)
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
        status, error = await self.read("STATUS"), await self.read("ERROR")
        assert status == Status.DONE, f"status {Status(status)!r}, error {error:#x}"
        await self.write("IRQ_PENDING", Interrupt.DONE)
        for region in item.after:
            found = np.frombuffer(self.ram.read(region.address, len(region.data)), np.uint8)
            different = np.flatnonzero(found != region.data)
            assert not len(different), (
                f"{len(different)} of {len(found)} bytes from {region.address:#x} differ, the "
                f"first at {region.address + different[0]:#x}"
            )


@cocotb.test(timeout_time=100, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.2, 0.6])
async def does_its_job(dut, pause):
    job = Job.load(Path(settings_from_env()["job"]))
    bench = Bench(dut, job, pause)
    bench.fill(job.memory)
    await bench.reset()
    await bench.write("PROGRAM", job.program_address)
    for item in job.runs:
        await bench.run(item)


def run_job(verilog: str, config: Config, job: Job, *, top: str, tag: str, sim: str, seed: int):
    """Do ``job`` in a simulator on module ``top`` of ``verilog``."""
    file = job.save(BUILD / f"job-{tag}-{sim}")
    run_verilog(
        verilog, config, top=top, test_module="test_top", tag=tag, sim=sim, seed=seed,
        settings={"job": str(file)},
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
