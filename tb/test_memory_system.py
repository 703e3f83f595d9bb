"""A board's memory: core and link on a chip that checks its datasheet, with two clocks."""

import dataclasses
import functools
import random
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from harness import config_from_env, run, settings_from_env
from memory_clients import Reader, Writer, fields
from sdram_side import SdramSide, chip_of
from systolith_fpga.memory.memory_system import MemorySystem
from systolith_fpga.memory.sdram_chips import SdramTiming, sdram_chip
from systolith_hw.presets import preset
from systolith_sim.board.sdram_chip import SdramChip

USED = 1 << 20
"""Bytes of the chip that are read and written."""


def timing_of(settings: dict[str, Any]) -> SdramTiming:
    return SdramTiming(sdram_chip(settings["chip"]), settings["sdram_mhz"] * 1e6, power_up_us=1.0)


@functools.cache
def chip_and_golden(timing: SdramTiming) -> tuple[SdramChip, np.ndarray]:
    """Return the one chip of a simulation, and what it ought to hold; it never loses power."""
    chip = chip_of(timing)
    generator = np.random.default_rng(random.getrandbits(32))
    chip.memory[:USED] = generator.integers(0, 256, USED, np.uint8)
    return chip, chip.memory.copy()


class Bench:
    """A memory system, its chip, and its clients: three that read, and two that write."""

    def __init__(self, dut, pause: float = 0.0) -> None:
        self.dut, self.settings, self.bus = dut, settings_from_env(), config_from_env().bus
        self.timing = timing_of(self.settings)
        self.chip, self.golden = chip_and_golden(self.timing)
        self.width = self.bus.data_bytes
        self.pause = pause
        self._clients()

    def _clients(self) -> None:
        """Make the clients anew, with nothing under way."""
        dut, pause, bits = self.dut, self.pause, 8 * self.width
        core = {
            f"{name}_{part}": self._flat(f"core__{name}_{part}_", ends)
            for name, part, ends in (
                *((name, "request", ("valid", "ready", "address", "last"))
                  for name in ("fetch", "load", "store")),
                *((name, "data", ("valid", "ready", "data", "error", "last"))
                  for name in ("fetch", "load")),
                ("store", "data", ("valid", "ready", "data", "strobe", "last")),
                ("store", "response", ("valid", "error")),
            )
        }  # fmt: skip
        request = {"address": self.bus.address_bits, "last": 8}
        self.readers = {
            name: Reader(dut.clk, core[f"{name}_request"], core[f"{name}_data"], pause)
            for name in ("fetch", "load")
        }
        self.readers["link"] = Reader(
            dut.clk, fields(dut, "link_read__request", **request),
            fields(dut, "link_read__data", data=bits, error=1), pause,
        )  # fmt: skip
        self.writers = {
            "store": Writer(dut.clk, core["store_request"], core["store_data"],
                            core["store_response"], pause),
            "link": Writer(
                dut.clk, fields(dut, "link_write__request", **request),
                fields(dut, "link_write__data", data=bits, strobe=self.width, last=1),
                fields(dut, "link_write__response", error=1), pause,
            ),
        }  # fmt: skip

    def _flat(self, prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: getattr(self.dut, prefix + name) for name in names}

    async def start(self) -> None:
        dut, core_mhz = self.dut, self.settings["core_mhz"]
        dut.pins__dq_i.value = 0
        dut.rst.value = dut.sdram_rst.value = 1
        # In picoseconds, and even: the simulators have no finer ones.
        Clock(dut.clk, 2 * round(5e5 / core_mhz), unit="ps").start()
        await Timer(random.randrange(1, 20_000), "ps")
        Clock(dut.sdram_clk, 2 * round(5e5 / self.settings["sdram_mhz"]), unit="ps").start()
        SdramSide(dut, dut.sdram_clk, self.chip)
        for _ in range(4):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.sdram_clk)
        dut.sdram_rst.value = 0
        self._play()
        for _ in range(2000):
            await RisingEdge(dut.clk)
            if dut.up.value:
                return
        raise AssertionError("the chip is never up")

    def _play(self) -> None:
        self._clients()
        clients: list[Reader | Writer] = [*self.readers.values(), *self.writers.values()]
        self.playing = [cocotb.start_soon(client.play()) for client in clients]

    async def reset(self, side: str) -> None:
        """Reset one side for one cycle, and the clients."""
        clk = self.dut.clk if side == "rst" else self.dut.sdram_clk
        for task in self.playing:
            task.cancel()
        await RisingEdge(clk)
        getattr(self.dut, side).value = 1
        self._clients()
        await RisingEdge(clk)
        getattr(self.dut, side).value = 0
        await RisingEdge(self.dut.clk)
        for _ in range(100):
            if not self.dut.resetting.value:
                break
            await RisingEdge(self.dut.clk)
        else:
            raise AssertionError("the reset never ends")
        self._play()

    def words(self, address: int, beats: int) -> list[int]:
        """Return what a burst ought to read."""
        raw = self.golden[address : address + beats * self.width].tobytes()
        return [int.from_bytes(raw[at : at + self.width], "little")
                for at in range(0, len(raw), self.width)]  # fmt: skip

    def place(self, region: int, regions: int) -> tuple[int, int]:
        """Return address and beats of a burst in a part of memory, inside a page."""
        size = USED // regions
        address = region * size + random.randrange(size // self.width) * self.width
        beats = random.choice([1, 2, 8, random.randint(1, self.bus.burst_beats)])
        return address, min(beats, (4096 - address % 4096) // self.width)

    async def check_read(self, name: str, address: int, beats: int) -> None:
        """Read a burst, and compare it."""
        expected = self.words(address, beats)
        assert await self.readers[name].read(address, beats) == (expected, [0] * beats)

    async def write(self, name: str, address: int, beats: int) -> None:
        """Write a burst of random data and strobes."""
        words = [random.getrandbits(8 * self.width) for _ in range(beats)]
        strobes = [random.getrandbits(self.width) for _ in range(beats)]
        assert await self.writers[name].write(address, words, strobes) == 0
        for index in range(beats):
            for byte in range(self.width):
                if strobes[index] >> byte & 1:
                    at = address + index * self.width + byte
                    self.golden[at] = words[index] >> 8 * byte & 0xFF

    async def overwrite(self, address: int, beats: int) -> None:
        """Write a burst that the core may have begun to write before: all of its bytes."""
        ones = (1 << 8 * self.width) - 1
        assert await self.writers["store"].write(
            address, [ones] * beats, [(1 << self.width) - 1] * beats
        ) == 0  # fmt: skip
        self.golden[address : address + beats * self.width] = 0xFF

    async def settle(self) -> None:
        """Wait until what has a response is in the chip, and compare all of it."""
        for _ in range(600):
            await RisingEdge(self.dut.sdram_clk)
        assert np.array_equal(self.chip.memory, self.golden)
        self.chip.check()


async def all_of(*jobs) -> None:
    for task in [cocotb.start_soon(job) for job in jobs]:
        await task


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.6])
async def visible_after_response(dut, pause):
    """Let every reader see what a response confirms: two writers, three readers."""
    bench = Bench(dut, pause)
    await bench.start()

    async def write_and_look(writer: str, readers: tuple[str, ...], region: int) -> None:
        for _ in range(settings_from_env()["bursts"]):
            address, beats = bench.place(region, 4)
            await bench.write(writer, address, beats)
            await bench.check_read(random.choice(readers), address, beats)

    async def look(name: str) -> None:
        for _ in range(settings_from_env()["bursts"]):
            await bench.check_read(name, *bench.place(2, 4))

    await all_of(
        write_and_look("store", ("load",), 0), write_and_look("link", ("link",), 1), look("fetch")
    )
    await bench.settle()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def clients_that_wait(dut):
    """Go on beside a reader that takes nothing, and a writer that gives nothing."""
    bench = Bench(dut)
    await bench.start()
    link, asked = bench.readers["link"], [bench.place(0, 2) for _ in range(20)]
    link.stuck = True
    link.asks.extend(asked)
    dut.link_write__request__payload.value = 1 << bench.bus.address_bits  # two beats
    dut.link_write__request__valid.value = 1
    for _ in range(10):
        address, beats = bench.place(1, 2)
        await bench.write("store", address, beats)
        await all_of(bench.check_read("load", address, beats), bench.check_read("fetch", 64, 8))
    # Then it takes what it asked for, and nothing was lost.
    link.stuck = False
    for address, beats in asked:
        assert await link.collect(beats) == (bench.words(address, beats), [0] * beats)
    dut.link_write__request__valid.value = 0


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def beyond_the_chip(dut):
    """No memory, so an error for each beat or response; what is there stays as it is."""
    bench = Bench(dut)
    size = len(bench.golden)
    if size >> bench.bus.address_bits:
        return  # the bus cannot address more than there is
    await bench.start()
    for reader in ("fetch", "load", "link"):
        for address in (size, 2 * size - 4096):
            _, errors = await bench.readers[reader].read(address, 5)
            assert errors == [1] * 5
            await bench.check_read(reader, 128, 3)
    full = (1 << bench.width) - 1
    for writer in ("store", "link"):
        assert await bench.writers[writer].write(size, [1, 2, 3], [full] * 3) == 1
        await bench.write(writer, 4096, 6)
    await bench.settle()


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def throughput(dut):
    """Measure LOAD's long bursts; the slower clock decides."""
    bench = Bench(dut)
    await bench.start()
    load, beats = bench.readers["load"], bench.bus.burst_beats
    size = beats * bench.width
    total = settings_from_env()["stream_bytes"] // size
    for index in range(total):
        load.asks.append((index * size, beats))
    before, begin = bench.chip.statistics()["reads"], load.cycle
    expected = bench.words(0, total * beats)
    got, _ = await load.collect(total * beats)
    assert got == expected
    seconds = (load.cycle - begin) / (bench.settings["core_mhz"] * 1e6)
    words = bench.chip.statistics()["reads"] - before
    limit = min(bench.timing.hz * 2, bench.settings["core_mhz"] * 1e6 * bench.width)
    share = total * size / seconds / limit
    dut._log.info(
        "core %g MHz x %d bytes, SDRAM %g MHz: %d words in %.2f us: %.1f MB/s, %.2f %% of the "
        "slower side; first beat after %d cycles", bench.settings["core_mhz"], bench.width,
        bench.settings["sdram_mhz"], words, seconds * 1e6, total * size / seconds / 1e6,
        100 * share, load.latencies[0],
    )  # fmt: skip
    assert share >= bench.settings["share"]


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def fetch_comes_soon(dut):
    """Beside a LOAD that never rests, a fetch waits for two of its bursts at most."""
    bench = Bench(dut)
    await bench.start()
    load, beats = bench.readers["load"], bench.bus.burst_beats
    load.asks.extend((index * beats * bench.width, beats) for index in range(40))
    worst = 0
    for _ in range(8):
        for _ in range(random.randrange(100)):
            await RisingEdge(dut.clk)
        await bench.check_read("fetch", random.randrange(1000) * 32, 32 // bench.width)
        worst = max(worst, bench.readers["fetch"].latencies[-1])
    dut._log.info("a fetch waits up to %d cycles, of %d beats a burst", worst, beats)
    words = 2 * beats * bench.width // 2
    bound = words / bench.timing.hz * bench.settings["core_mhz"] * 1e6
    assert worst <= 1.3 * max(bound, 2 * beats) + 100


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(side=["rst", "sdram_rst"])
async def resets(dut, side):
    """Leave nothing behind, when either clock is in reset for a cycle at any time."""
    bench = Bench(dut)
    await bench.start()
    for _ in range(settings_from_env()["resets"]):
        for reader in bench.readers.values():
            reader.asks.extend(bench.place(0, 1) for _ in range(20))
        half = bench.place(0, 1)
        storing = cocotb.start_soon(bench.overwrite(*half))
        for _ in range(random.randrange(300)):
            await RisingEdge(dut.clk)
        storing.cancel()
        await bench.reset(side)
        await bench.overwrite(*half)
        # Clients are reset with it, ask for something else, and get just that.
        for _ in range(3):
            address, beats = bench.place(0, 1)
            await bench.write("store", address, beats)
            await bench.check_read("load", address, beats)
            await bench.check_read("link", address, beats)
        await bench.settle()


CASES: dict[str, dict[str, Any]] = {
    "80-133-4": {"chip": "IS42S16160G-7", "core_mhz": 80, "sdram_mhz": 133, "width": 4,
                 "address_bits": 26, "bursts": 8, "stream_bytes": 1 << 14, "share": 0.9,
                 "resets": 2},
    # Only resets take long here: a slow clock has to see a reset of a fast one.
    "15-140-2": {"chip": "IS42S16160G-7", "core_mhz": 15.1, "sdram_mhz": 140, "width": 2,
                 "address_bits": 25, "bursts": 1, "stream_bytes": 1 << 11, "share": 0.8,
                 "resets": 30},
    "97-120-2": {"chip": "IS42S16160G-7", "core_mhz": 96.7, "sdram_mhz": 120, "width": 2,
                 "address_bits": 25, "bursts": 6, "stream_bytes": 1 << 13, "share": 0.9,
                 "resets": 2},
}  # fmt: skip
for core, sdram, width, share in (
    (66.667, 133.333, 4, 0.97), (100, 100, 2, 0.94), (100, 100, 4, 0.97), (133, 120, 8, 0.97),
    (80, 133, 4, 0.97), (25, 140, 4, 0.94), (80, 133, 2, 0.94), (97.3, 131.1, 4, 0.97),
):  # fmt: skip
    CASES[f"{core}-{sdram}-{width}-long"] = {
        "chip": "AS4C32M16SB-7", "core_mhz": core, "sdram_mhz": sdram, "width": width,
        "address_bits": 27, "bursts": 60, "stream_bytes": 1 << 16, "share": share, "resets": 20,
    }  # fmt: skip

GATE = {"80-133-4": ["verilator"], "97-120-2": ["icarus"]}


@pytest.mark.parametrize("case", CASES)
def test_memory_system(case, sim, seed):
    settings = CASES[case]
    config = preset("ulx3s")
    config = dataclasses.replace(config, bus=dataclasses.replace(
        config.bus, data_bytes=settings["width"], address_bits=settings["address_bits"]
    ))  # fmt: skip
    run(
        MemorySystem(config, timing_of(settings)), config, test_module="test_memory_system",
        tag=case, sim=sim, seed=seed, settings=settings,
    )  # fmt: skip
