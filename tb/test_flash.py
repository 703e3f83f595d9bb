"""From flash memory to main memory: FlashReader, FlashCopier and MemoryAccess at a chip that checks
what it is asked, and memory that lets one wait."""

import json
import os
import random
import zlib
from typing import Any

import cocotb
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from cocotb.simtime import get_sim_time
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, with_timeout

from harness import config_from_env, run, settings_from_env
from streams import get, pack, put, stall_never, stall_often, start
from systolith_fpga.soc.wishbone import Wishbone
from systolith_fpga.standalone.flash_copier import FlashCopier
from systolith_fpga.standalone.flash_reader import FlashReader
from systolith_fpga.standalone.memory_access import MemoryAccess
from systolith_fpga.standalone.spi_flash import FlashPins, SpiFlash, half_period
from systolith_hw.config import ConfigError
from systolith_hw.interfaces import ReadPort, WritePort
from systolith_hw.presets import preset
from systolith_sim.board.spi_flash import SpiFlashChip, flash_settings

CHIP = SpiFlash(name="a small one", bytes=4096, max_hz=104e6, valid_ns=8.0, select_ns=6.0,
                deselect_ns=50.0)  # fmt: skip
HZ = 100e6
"""Of the bench's clock."""

CASES = {"narrow": (2, 1), "word": (4, 1), "wide": (8, 3)}
"""Bytes of main memory's word; cycles of half a period of the chip's clock."""
ROUND_TRIP = {1: 10.0, 3: 45.0}
READERS = {"fast": 1, "slow": 3}
GATE = {"narrow": ["icarus"], "word": ["verilator"], "wide": ["icarus"], "fast": ["verilator"]}
"""Of the slow reader that of "wide" is one."""

KIND = json.loads(os.environ.get("DUT_SETTINGS", "{}")).get("kind")


class Chain(wiring.Component):
    """Reader, copier and access to memory."""

    bus: Any
    pins: Any
    load: Any
    store: Any

    def __init__(self, config, half):
        self.config, self.half = config, half
        super().__init__({
            "bus": In(Wishbone(3, 4)), "pins": Out(FlashPins()), "load": Out(ReadPort(config)),
            "store": Out(WritePort(config)),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        bus = self.config.bus
        m.submodules.reader = reader = FlashReader(self.half, 6)
        m.submodules.copier = copier = FlashCopier(bus.address_bits, bus.data_bytes)
        m.submodules.access = access = MemoryAccess(self.config)
        connect(m, copier.request, reader.request)
        connect(m, reader.o, copier.i)
        connect(m, copier.memory, access.bus)
        for name, part in (("bus", copier), ("pins", reader), ("load", access), ("store", access)):
            connect(m, getattr(part, name), flipped(getattr(self, name)))
        return m


async def chip_at(dut, half, seed):
    """Play the chip, with what it holds by chance."""
    chip = SpiFlashChip(flash_settings(CHIP, HZ, round_trip_ns=ROUND_TRIP[half], seed=seed))
    chip.memory[:] = list(random.randbytes(CHIP.bytes))

    async def play():
        while True:
            await FallingEdge(dut.clk)
            pins = (int(getattr(dut, f"pins__{name}").value) for name in ("cs_n", "clk", "copi"))
            dut.pins__cipo.value = chip.clock(*pins)
            chip.check()

    dut.pins__cipo.value = 0
    cocotb.start_soon(play())
    return chip


# -- the reader alone -----------------------------------------------------------------------------


async def read_all(dut, stall):
    settings = settings_from_env()
    half = settings["half"]
    dut.request__valid.value, dut.o__ready.value = 0, 0
    await start(dut)
    chip = await chip_at(dut, half, settings["seed"])
    asked = [(0, 1), (CHIP.bytes - 5, 5), (CHIP.bytes - 1, 1), (0x123, 1)]
    asked += [(random.randrange(4000), random.randrange(1, 60)) for _ in range(6)]
    requests = [pack([at, count - 1], 24) for at, count in asked]
    cocotb.start_soon(put(dut, "request", requests, stall()))
    total = sum(count for _, count in asked)
    limit = total * 40 * half + 10_000
    got = await with_timeout(get(dut, "o", total, stall()), limit * 10, "ns")
    expected = b"".join(bytes(chip.memory[at : at + count]) for at, count in asked)
    assert bytes(got) == expected
    for _ in range(20 * half):
        await RisingEdge(dut.clk)
    assert (chip.reads, chip.bytes_read) == (len(asked), total)
    assert dut.pins__cs_n.value == 1 and dut.o__valid.value == 0


@cocotb.test(skip=KIND != "reader")
async def reads(dut):
    await read_all(dut, stall_never)


@cocotb.test(skip=KIND != "reader")
async def reads_with_stalls(dut):
    await read_all(dut, stall_often)


@cocotb.test(skip=KIND != "reader")
async def waits_for_room_and_keeps_pace(dut):
    """Take a byte in 16 half periods; one that nobody takes stops the clock, and stays."""
    half = settings_from_env()["half"]
    dut.request__valid.value, dut.o__ready.value = 0, 0
    await start(dut)
    chip = await chip_at(dut, half, 1)
    cocotb.start_soon(put(dut, "request", [pack([7, 9], 24)], stall_never()))
    seen: list[int] = []
    cycle = 0
    dut.o__ready.value = 1
    while len(seen) < 4 and cycle < 1000 * half:
        await ReadOnly()
        if dut.o__valid.value:
            seen.append(cycle)
        await RisingEdge(dut.clk)
        cycle += 1
    assert [b - a for a, b in zip(seen, seen[1:], strict=False)] == [16 * half] * 3
    dut.o__ready.value = 0
    for _ in range(100 * half):
        await RisingEdge(dut.clk)
    held = int(dut.o__payload.value)
    assert dut.o__valid.value == 1 and held == chip.memory[7 + 4] and dut.pins__clk.value == 0
    rest = await with_timeout(get(dut, "o", 6, stall_never()), 100 * half, "us")
    assert rest == list(chip.memory[11:17])


# -- all of it ------------------------------------------------------------------------------------


async def access(dut, word, value=None):
    """One access of the CPU."""
    dut.bus__cyc.value = dut.bus__stb.value = 1
    dut.bus__we.value, dut.bus__adr.value = int(value is not None), word
    dut.bus__sel.value, dut.bus__dat_w.value = 0xF, value or 0
    while True:
        await RisingEdge(dut.clk)
        await ReadOnly()
        if dut.bus__ack.value:
            break
    read = int(dut.bus__dat_r.value)
    await RisingEdge(dut.clk)
    dut.bus__cyc.value = dut.bus__stb.value = 0
    return read


async def memory_at(dut, width, size, stalls):
    """Play main memory; what begins beyond ``size`` is an error."""
    memory = bytearray(random.randbytes(size))

    async def play():
        dut.store__request__ready.value = dut.store__data__ready.value = 0
        dut.store__response__valid.value = 0
        while True:
            (request,) = await get(dut, "store__request", 1, stalls)
            (beat,) = await get(dut, "store__data", 1, stalls)
            address, last = request & (1 << BITS) - 1, request >> BITS
            assert last == 0 and beat >> (9 * width) & 1 == 1
            for lane in range(width):
                if beat >> (8 * width + lane) & 1 and address < size:
                    memory[address + lane] = beat >> 8 * lane & 0xFF
            for _ in range(next(stalls)):
                await RisingEdge(dut.clk)
            dut.store__response__valid.value = 1
            dut.store__response__payload.value = int(address >= size)
            await RisingEdge(dut.clk)
            dut.store__response__valid.value = 0

    BITS = config_from_env().bus.address_bits
    cocotb.start_soon(play())
    return memory


async def copy(dut, source, target, count):
    """Let it copy; return whether it failed, and the CRC."""
    for word, value in enumerate((source, target, count)):
        await access(dut, word, value)
    assert await access(dut, 3) & 1 or count == 0 or target % 2
    for _ in range(3_000):
        status = await access(dut, 3)
        if not status & 1:
            return bool(status & 2), await access(dut, 4)
        await access(dut, 0, 99)  # changes nothing now
    raise TimeoutError("the copier never ended")


async def copy_all(dut, stalls):
    settings, width = settings_from_env(), config_from_env().bus.data_bytes
    dut.load__request__ready.value = dut.load__data__valid.value = 0
    dut.bus__cyc.value = dut.bus__stb.value = 0
    await start(dut)
    chip = await chip_at(dut, settings["half"], settings["seed"])
    memory = await memory_at(dut, width, 512, stalls())
    golden = bytearray(memory)
    cases = [(0, 0, 1), (5, width, width), (100, 2 * width, width + 1), (9, 256, 63), (3, 0, 0)]
    for source, target, count in cases:
        before = bytes(chip.memory[source : source + count])
        failed, crc = await copy(dut, source, target, count)
        golden[target : target + count] = before
        assert not failed and crc == zlib.crc32(before)
        assert memory == golden
    for target in (512, 1 << 20, 1):  # beyond memory, and within a word
        failed, _ = await copy(dut, 0, target, 3 * width)
        assert failed and memory == golden
    failed, crc = await copy(dut, 0, 512 - width, 2 * width)
    golden[-width:] = bytes(chip.memory[:width])
    assert failed and memory == golden and crc == zlib.crc32(bytes(chip.memory[: 2 * width]))
    assert not (await copy(dut, 0, 0, width))[0]


@cocotb.test(skip=KIND != "chain", timeout_time=5, timeout_unit="ms")
async def copies(dut):
    await copy_all(dut, stall_never)


@cocotb.test(skip=KIND != "chain", timeout_time=5, timeout_unit="ms")
async def copies_with_stalls(dut):
    await copy_all(dut, stall_often)


@cocotb.test(skip=KIND != "chain", timeout_time=5, timeout_unit="ms")
async def keeps_pace(dut):
    """Hide a word's way to memory behind the next byte."""
    settings, width = settings_from_env(), config_from_env().bus.data_bytes
    dut.load__request__ready.value = dut.load__data__valid.value = 0
    dut.bus__cyc.value = dut.bus__stb.value = 0
    await start(dut)
    chip = await chip_at(dut, settings["half"], 1)
    await memory_at(dut, width, 512, stall_never())
    for word, value in enumerate((0, 0, 200)):
        await access(dut, word, value)
    begin = get_sim_time("ns")
    while await access(dut, 3) & 1:
        pass
    assert chip.bytes_read == 200
    assert get_sim_time("ns") - begin <= 10 * ((96 + 16 * 200) * settings["half"] + 60)


# -- pytest ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", READERS)
def test_reader(case, sim, seed):
    half = READERS[case]
    run(FlashReader(half, 6), preset("ulx3s"), test_module="test_flash", tag=case, sim=sim,
        seed=seed, settings={"kind": "reader", "half": half, "seed": seed})  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_copier(case, sim, seed):
    width, half = CASES[case]
    config = preset("ulx3s").replace({"bus.data_bytes": width, "bus.burst_beats": 16})
    run(Chain(config, half), config, test_module="test_flash", tag=case, sim=sim, seed=seed,
        settings={"kind": "chain", "half": half, "seed": seed})  # fmt: skip


def play(chip, *edges):
    """Give a chip pins, cycle by cycle, and return what it says."""
    return [chip.clock(*pins) for pins in edges]


def command(word, clocks=40):
    """Return the pins of so many clocks of a command."""
    bits = [word >> (31 - place) & 1 if place < 32 else 0 for place in range(clocks)]
    return [(0, 0, 0), *(edge for bit in bits for edge in ((0, 0, bit), (0, 1, bit))), (0, 0, 0)]


@pytest.mark.parametrize("edges, says", [
    (command(0x03000000), "command 03"),
    (command(0x0B001000), "address 001000, and the chip has 4096 bytes"),
    ([*command(0x0B000000, 39), (1, 0, 0)], "deselected after 39 bits"),
    ([*command(0x0B000000), (1, 0, 0), (0, 0, 0)], "selected 10.0 ns after"),
    ([(0, 1, 0)], "not mode 0"),
    ([*command(0x0B000000), (0, 1, 0), (1, 1, 0)], "deselected while the clock is high"),
])  # fmt: skip
def test_chip_checks(edges, says):
    """Each rule, broken."""
    chip = SpiFlashChip(flash_settings(CHIP, HZ, round_trip_ns=10.0))
    play(chip, (1, 0, 0), *edges)
    assert says in chip.violation


def test_chip_checks_times():
    """A clock that is too fast, or too early; data that are taken too early are noise."""
    fast = SpiFlashChip(flash_settings(CHIP, 240e6, round_trip_ns=10.0))
    play(fast, (1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 0, 0), (0, 1, 0))
    assert "a period of 8.33 ns; the least is 9.62" in fast.violation
    early = SpiFlashChip(flash_settings(CHIP, 240e6, round_trip_ns=10.0))
    play(early, (1, 0, 0), (0, 0, 0), (0, 1, 0))
    assert "a clock 4.2 ns after select; it needs 6.0" in early.violation
    late = SpiFlashChip(flash_settings(CHIP, HZ, round_trip_ns=13.0))
    late.memory[:] = 0
    said = play(late, (1, 0, 0), *command(0x0B000000), *[(0, 1, 0), (0, 0, 0)] * 30)
    assert any(said[81:]) and not late.violation


def test_half_periods():
    """As short as the slower of chip and way allows; clocks that are too fast are refused."""
    assert [half_period(CHIP, hz) for hz in (25e6, 80e6, 100e6, 111e6, 112e6)] == [1, 1, 1, 1, 2]
    with pytest.raises(ConfigError, match="the clock must be at most .* MHz"):
        half_period(CHIP, 20e9)
