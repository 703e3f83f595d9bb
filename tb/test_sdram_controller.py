"""SDRAM controller, as emitted Verilog, on a chip that checks every rule of its datasheet."""

import dataclasses
import functools
import random
from typing import Any

import cocotb
import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from cocotb.triggers import RisingEdge

from harness import run, settings_from_env
from sdram_client import Burst, SdramClient, random_bursts
from sdram_side import SdramSide, chip_of
from streams import start
from systolith_fpga.memory.sdram_chips import SdramTiming, sdram_chip
from systolith_fpga.memory.sdram_controller import SdramController
from systolith_hw.presets import preset
from systolith_sim.board.sdram_chip import SdramChip

CAPACITY = {2: 128, 4: 64, 8: 32}
POWER_UP_US = 1.0
ROW_BYTES = 1024


STRICT = dataclasses.replace(
    sdram_chip("IS42S16160G-7"), name="strict", rcd=37, rp=31, ras=95, rc=130, rfc=100, rrd=37,
    wr=45, mrd=30,
)  # fmt: skip
"""No chip: all times so long that the controller's own pace keeps none of them."""


def timing_of(settings: dict[str, Any]) -> SdramTiming:
    chip = STRICT if settings["chip"] == STRICT.name else sdram_chip(settings["chip"])
    return SdramTiming(chip, settings["hz"], power_up_us=POWER_UP_US)


class BoardFlops(wiring.Component):
    """A controller without flops at its pins, and the flops of a board's I/O buffers."""

    pins: Any

    def __init__(self, controller: wiring.Component) -> None:
        self.controller: Any = controller
        super().__init__(controller.signature)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.controller = controller = self.controller
        for name in self.signature.members:
            if name != "pins":
                wired: Any = getattr(self, name)
                if name == "port":
                    wiring.connect(m, wiring.flipped(wired), controller.port)
                elif self.signature.members[name].flow is wiring.In:
                    m.d.comb += getattr(controller, name).eq(wired)
                else:
                    m.d.comb += wired.eq(getattr(controller, name))
        for name, member in controller.pins.signature.members.items():
            here, there = getattr(self.pins, name), getattr(controller.pins, name)
            flop = Signal.like(here, init=int(name.endswith("_n")))
            m.d.sync += flop.eq(there if member.flow is wiring.Out else here)
            m.d.comb += (here if member.flow is wiring.Out else there).eq(flop)
        return m


@functools.cache
def chip_and_golden(timing: SdramTiming) -> tuple[SdramChip, np.ndarray]:
    """Return the one chip of a simulation, and what it ought to hold; it never loses power."""
    chip = chip_of(timing)
    generator = np.random.default_rng(random.getrandbits(32))
    chip.memory[: 1 << 20] = generator.integers(0, 256, 1 << 20, np.uint8)
    return chip, chip.memory.copy()


class Bench:
    """A controller with its chip and a client."""

    def __init__(self, dut, pause: float = 0.0) -> None:
        settings = settings_from_env()
        self.dut, self.timing, self.width = dut, timing_of(settings), settings["width"]
        self.chip, self.golden = chip_and_golden(self.timing)
        self.client = SdramClient(dut, self.golden, self.width, CAPACITY[self.width], pause)

    async def start(self) -> None:
        for name in ("port__request__valid", "port__write__valid", "write_level", "read_room"):
            getattr(self.dut, name).value = 0
        self.dut.pins__dq_i.value = 0
        self.side = SdramSide(self.dut, self.dut.clk, self.chip)
        await start(self.dut)
        for _ in range(1000):
            if self.dut.up.value:
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError("the chip is never up")

    async def run(self, bursts: list[Burst], limit: int = 40_000) -> int:
        cycles = await self.client.run(bursts, limit)
        for _ in range(10):  # writes that are on their way to the pins
            await RisingEdge(self.dut.clk)
        assert np.array_equal(self.chip.memory, self.golden)
        self.chip.check()
        return cycles


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.3, 0.8])
async def random_traffic(dut, pause):
    """Short and long bursts that meet in the same rows, with all strobes."""
    bench = Bench(dut, pause)
    await bench.start()
    await bench.run(random_bursts(settings_from_env()["bursts"], len(bench.golden), bench.width))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def last_bytes(dut):
    """Write the last bytes of the chip, and read them and the first ones."""
    bench = Bench(dut)
    await bench.start()
    end, width = len(bench.golden), bench.width
    data = tuple(random.getrandbits(8 * width) for _ in range(8))
    full = (1 << width) - 1
    await bench.run([
        Burst(end - 8 * width, 8, data, (full,) * 8), Burst(end - 8 * width, 8), Burst(0, 8),
    ])  # fmt: skip


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def latency(dut):
    """To the first beat of a read, as the docstring says: row open, bank closed, other row."""
    bench = Bench(dut)
    await bench.start()
    timing, words = bench.timing, bench.width // 2
    closed = Burst(0, 4)
    same = Burst(64, 4)
    other = Burst(4 * ROW_BYTES * (1 + (timing.chip.column_bits > 9)), 4)
    for burst in (closed, same, other):
        await bench.run([burst])
        for _ in range(40):
            await RisingEdge(dut.clk)
    least = 12 + timing.capture + words
    opens = max(0, timing.rcd - 3)
    expected = [least + 2 + opens, least, least + 2 + timing.rp + opens]
    dut._log.info("latency %s, expected %s", bench.client.latencies, expected)
    assert bench.client.latencies == expected


async def stream(dut, bursts: list[Burst], name: str) -> float:
    """Return the share of cycles in which a word was read or written."""
    bench = Bench(dut)
    await bench.start()
    before = bench.chip.statistics()
    cycles = await bench.run(bursts, limit=100_000)
    words = sum(burst.beats for burst in bursts) * bench.width // 2
    after = bench.chip.statistics()
    counts = {key: after[key] - before[key] for key in after}
    assert counts["reads"] + counts["writes"] == words
    dut._log.info("%s at %.0f MHz: %d words in %d cycles: %.2f %% of peak, %s", name,
                  bench.timing.hz / 1e6, words, cycles, 100 * words / cycles, counts)  # fmt: skip
    return words / cycles


def in_order(count: int, beats: int, width: int, start: int = 0) -> list[int]:
    return [start + index * beats * width for index in range(count)]


def filled(address: int, beats: int, width: int) -> Burst:
    data = tuple(random.getrandbits(8 * width) for _ in range(beats))
    return Burst(address, beats, data, ((1 << width) - 1,) * beats)


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def sequential_reads(dut):
    """Bursts of 128 beats one behind the other, as LOAD asks for them, past a forced refresh."""
    settings = settings_from_env()
    width = settings["width"]
    size = max(settings["stream_bytes"], 22 * timing_of(settings).refresh_interval)
    places = in_order(size // (128 * width), 128, width, 512)
    assert await stream(dut, [Burst(place, 128) for place in places], "sequential") >= 0.96


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def sequential_writes(dut):
    settings = settings_from_env()
    width = settings["width"]
    places = in_order(settings["stream_bytes"] // (128 * width), 128, width)
    assert await stream(dut, [filled(place, 128, width) for place in places], "writes") >= 0.9


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def random_reads(dut):
    """Read 64 bytes anywhere."""
    settings = settings_from_env()
    width = settings["width"]
    places = [random.randrange(1 << 14) * 64 for _ in range(settings["stream_bytes"] // 64)]
    least = 0.45 if settings["chip"] == STRICT.name else 0.75
    assert await stream(dut, [Burst(place, 64 // width) for place in places], "random") >= least


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def mixed(dut):
    """Three reads to a write, of 256 bytes each, in two streams."""
    settings = settings_from_env()
    width = settings["width"]
    bursts = []
    for index in range(settings["stream_bytes"] // 256):
        if index % 4 == 3:
            bursts.append(filled((1 << 18) + index * 256, 256 // width, width))
        else:
            bursts.append(Burst(index * 256, 256 // width))
    assert await stream(dut, bursts, "mixed") >= 0.9


CASES: dict[str, dict[str, Any]] = {
    f"{chip}-{mhz}-{width}": {"chip": chip, "hz": mhz * 1e6, "width": width, "bursts": bursts,
                              "stream_bytes": stream}
    for chip, mhz, width, bursts, stream in [
        ("IS42S16160G-7", 133, 4, 100, 1 << 13),
        ("strict", 120, 2, 60, 1 << 12),
        ("strict", 120, 8, 400, 1 << 14),
        ("AS4C16M16SA-7", 133, 4, 200, 1 << 14),  # with flops of the board
        ("IS42S16160G-7", 133, 2, 400, 1 << 17),
        ("IS42S16160G-7", 120, 4, 400, 1 << 17),
        ("AS4C32M16SB-7", 143, 4, 400, 1 << 16),
        ("AS4C16M16SA-7", 100, 8, 400, 1 << 15),
    ]
}  # fmt: skip

FLOPS_OF_BOARD = "AS4C16M16SA-7-133-4"
GATE = {"IS42S16160G-7-133-4": ["verilator"], "strict-120-2": ["icarus"]}


@pytest.mark.parametrize("case", CASES)
def test_sdram_controller(case, sim, seed):
    timing, width = timing_of(CASES[case]), CASES[case]["width"]
    of_board = case == FLOPS_OF_BOARD
    dut: wiring.Component = SdramController(
        timing, width, capacity=CAPACITY[width], pin_flops=not of_board
    )
    if of_board:
        dut = BoardFlops(dut)
    run(
        dut, preset("tiny"), test_module="test_sdram_controller", tag=case, sim=sim, seed=seed,
        settings=CASES[case],
    )  # fmt: skip
