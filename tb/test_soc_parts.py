"""Parts of a system around a core, as emitted Verilog: all that ``Soc`` has but CPU and core."""

import json
import os
import random
from typing import Any

import cocotb
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect
from cocotb.triggers import ReadOnly, RisingEdge, with_timeout

from harness import run, settings_from_env
from streams import start
from systolith_fpga.soc.arbiter import Arbiter
from systolith_fpga.soc.bridge import Bridge
from systolith_fpga.soc.decoder import Decoder
from systolith_fpga.soc.main_memory import MainMemory
from systolith_fpga.soc.memory import LocalMemory
from systolith_fpga.soc.timer import Timer
from systolith_fpga.soc.uart import Uart
from systolith_fpga.soc.wishbone import Pipelined, Wishbone, join
from systolith_hw.bus.wishbone_slave import WishboneRegisters, WishboneSlave
from systolith_hw.control.block import ControlBlock
from systolith_hw.presets import preset
from systolith_hw.registers import IDENTITY, OFFSETS

PAGES = {0: "local", 8: "memory", 12: "uart", 13: "timer"}
LOCAL_BYTES, SHARE, DIVISOR = 64, 256, 5
"""Bytes of main memory that each master has for its own; cycles of a bit."""

CASES = {"byte": 1, "narrow": 2, "word": 4, "wide": 16}
GATE = {"narrow": ["icarus"], "wide": ["verilator"], "block": ["icarus"], "slave": ["icarus"]}


KIND = json.loads(os.environ.get("DUT_SETTINGS", "{}")).get("kind")


class Parts(wiring.Component):
    """The system's wiring, with a host for the CPU and one for the core."""

    cpu: Any
    core: Any
    memory: Any
    tx: Signal
    rx: Signal

    def __init__(self, data_bytes):
        self.data_bytes = data_bytes
        self.bits = 12 - (data_bytes.bit_length() - 1)
        bus = Pipelined(self.bits, data_bytes)
        super().__init__({
            "cpu": In(Wishbone(30, 4)), "core": In(bus), "memory": Out(bus), "tx": Out(1),
            "rx": In(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = Decoder(PAGES)
        m.submodules.local = local = LocalMemory(LOCAL_BYTES, bytes(range(LOCAL_BYTES)))
        m.submodules.uart = uart = Uart(DIVISOR)
        m.submodules.timer = timer = Timer()
        m.submodules.bridge = bridge = Bridge(12, self.data_bytes)
        m.submodules.arbiter = arbiter = Arbiter(self.bits, self.data_bytes, outstanding=4)
        connect(m, wiring.flipped(self.cpu), decoder.bus)
        for name, part in {"local": local.bus, "uart": uart.bus, "timer": timer.bus,
                           "memory": bridge.cpu}.items():  # fmt: skip
            join(m, decoder.slaves[name], part)
        first, second = arbiter.masters
        join(m, bridge.memory, first)
        connect(m, wiring.flipped(self.core), second)
        connect(m, arbiter.slave, wiring.flipped(self.memory))
        m.d.comb += [self.tx.eq(uart.tx), uart.rx.eq(self.rx)]
        return m


class Port:
    """The signals of a bus."""

    def __init__(self, dut, name):
        self._dut, self._name = dut, name

    def __getattr__(self, signal):
        return getattr(self._dut, f"{self._name}__{signal}")

    def drive(self, **values):
        for name, value in values.items():
            getattr(self, name).value = value

    def idle(self):
        self.drive(cyc=0, stb=0, we=0, adr=0, sel=0, dat_w=0)


async def access(clk, bus, address, data=None, select=15, patience=500):
    """One classic access of a word; return what is read, None for an error, or "" after giving
    up."""
    bus.drive(cyc=1, stb=1, we=int(data is not None), adr=address, sel=select, dat_w=data or 0)
    answer: int | str | None = ""
    for _ in range(patience):
        await ReadOnly()
        if bus.ack.value or bus.err.value:
            answer = int(bus.dat_r.value) if bus.ack.value and data is None else 0
            answer = None if bus.err.value else answer
        await RisingEdge(clk)
        if answer != "":
            break
    bus.drive(cyc=0, stb=0)
    return answer


async def play_memory(dut, bus, memory, width, busy):
    """Pipelined, with pauses and late answers; what is not taken has to stay."""
    waiting: list[tuple[int, bool, int]] = []
    held = None
    while True:
        stall = int(random.random() < busy)
        bus.drive(stall=stall, ack=0, err=0)
        if waiting and waiting[0][0] <= 0 and random.random() >= busy:
            _, good, word = waiting.pop(0)
            bus.drive(ack=int(good), err=int(not good), dat_r=word)
        await ReadOnly()
        asked = None
        if bus.cyc.value and bus.stb.value:
            we, adr, select = int(bus.we.value), int(bus.adr.value), int(bus.sel.value)
            asked = (we, adr, select, int(bus.dat_w.value) if we else 0)
        assert held is None or asked == held
        held = asked if stall else None
        await RisingEdge(dut.clk)
        waiting = [(left - 1, good, word) for left, good, word in waiting]
        if asked is None or stall:
            continue
        we, adr, select, data = asked
        at, good = adr * width, adr * width < len(memory)
        word = int.from_bytes(memory[at : at + width], "little") if good else 0
        for byte in range(width if good and we else 0):
            if select >> byte & 1:
                memory[at + byte] = data >> 8 * byte & 0xFF
        waiting.append((random.randrange(4), good, word))


async def play_cpu(dut, memory, *, first):
    """Words of local and main memory, addresses of nobody, and time that passes."""
    bus, mine, local = Port(dut, "cpu"), bytearray(memory[:SHARE]), bytearray()
    for word in range(LOCAL_BYTES // 4):  # a reset leaves them as they are
        local += (await access(dut.clk, bus, word)).to_bytes(4, "little")
    if first:
        assert local == bytes(range(LOCAL_BYTES))
    before = -1
    for _ in range(250):
        kind = random.choice(["local", "memory", "memory", "timer", "nobody", "beyond"])
        if kind == "timer":
            now = await access(dut.clk, bus, 13 << 26)
            assert now > before
            before = now
            continue
        if kind in ("nobody", "beyond"):
            page, offset = (5, 0) if kind == "nobody" else (8, 2 * SHARE // 4)
            assert await access(dut.clk, bus, page << 26 | offset) is None
            continue
        held, page = (local, 0) if kind == "local" else (mine, 8)
        word, select = random.randrange(len(held) // 4), random.randrange(1, 16)
        data = random.choice([None, random.getrandbits(32)])
        found = await access(dut.clk, bus, page << 26 | word, data, select)
        if data is None:
            assert found == int.from_bytes(held[4 * word : 4 * word + 4], "little")
            continue
        assert found == 0
        for byte in range(4):
            if select >> byte & 1:
                held[4 * word + byte] = data >> 8 * byte & 0xFF


async def play_core(dut, width, busy):
    """Words of its own share, up to four accesses ahead of the answers."""
    bus, words = Port(dut, "core"), SHARE // width
    held, left, asking = [0] * words, 300, None
    expected: list[int | None] = []
    while left or expected:
        if asking is None and left and len(expected) < 4 and random.random() >= busy:
            asking = random.randrange(words), random.randrange(2), random.getrandbits(8 * width)
            place, we, word = asking
            bus.drive(adr=words + place, we=we, dat_w=word, sel=(1 << width) - 1)
        bus.drive(stb=int(asking is not None), cyc=int(asking is not None or bool(expected)))
        await ReadOnly()
        stall, ack = int(bus.stall.value), int(bus.ack.value)
        found = int(bus.dat_r.value) if ack else 0
        assert not bus.err.value
        await RisingEdge(dut.clk)
        if asking is not None and not stall:
            place, we, word = asking
            expected.append(None if we else held[place])
            held[place] = word if we else held[place]
            left, asking = left - 1, None
        if ack:
            wanted = expected.pop(0)
            assert wanted is None or found == wanted
    bus.idle()


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=KIND != "parts")
@cocotb.parametrize(busy=[0.0, 0.4])
async def both_masters_find_what_they_wrote(dut, busy):
    width = settings_from_env()["width"]
    memory = bytearray(random.randbytes(SHARE) + bytes(SHARE))
    dut.rx.value = 1
    for name in ("cpu", "core"):
        Port(dut, name).idle()
    Port(dut, "memory").drive(stall=0, ack=0, err=0, dat_r=0)
    await start(dut)
    cocotb.start_soon(play_memory(dut, Port(dut, "memory"), memory, width, busy))
    core = cocotb.start_soon(play_core(dut, width, busy))
    await play_cpu(dut, memory, first=not busy)
    await core


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=KIND != "parts")
async def characters_come_and_go(dut):
    """Find on the line what is sent; receive what was on the line."""
    bus, data, status = Port(dut, "cpu"), 12 << 26, (12 << 26) + 1
    dut.rx.value = 1
    bus.idle()
    Port(dut, "core").idle()
    Port(dut, "memory").drive(stall=0, ack=0, err=0, dat_r=0)
    await start(dut)
    line = []

    async def loop():
        """Send everything back, 7 cycles later."""
        late = [1] * 7
        while True:
            await ReadOnly()
            late.append(int(dut.tx.value))
            line.append(late[-1])
            await RisingEdge(dut.clk)
            dut.rx.value = late.pop(0)

    cocotb.start_soon(loop())
    for character in [0, 255, *(random.randrange(256) for _ in range(6))]:
        begin = len(line)
        await access(dut.clk, bus, data, character)
        while not (await access(dut.clk, bus, status)) & 2:
            assert len(line) < begin + 20 * DIVISOR
        assert await access(dut.clk, bus, data) == character
        first = line.index(0, begin)
        bits = [line[first + place * DIVISOR + DIVISOR // 2] for place in range(10)]
        assert bits == [0, *(character >> place & 1 for place in range(8)), 1]


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=KIND != "block")
async def memory_keeps_up(dut):
    """Expect an answer in each cycle; beyond the end an error, and nothing written."""
    bus, held, answer = Port(dut, "bus"), bytearray(range(200)), None
    bus.idle()
    await start(dut)
    for _ in range(400):
        place, select, we = random.randrange(32), random.randrange(256), random.randrange(2)
        data = random.getrandbits(64)
        bus.drive(cyc=1, stb=1, adr=place, sel=select, we=we, dat_w=data)
        await ReadOnly()
        if answer is not None:
            there, word = answer
            assert (bus.ack.value, bus.err.value) == (there, not there)
            assert not there or word is None or bus.dat_r.value == word
        word = int.from_bytes(held[8 * place : 8 * place + 8], "little")
        answer = (place < 25, None if we else word)
        for byte in range(8 if we and place < 25 else 0):
            if select >> byte & 1:
                held[8 * place + byte] = data >> 8 * byte & 0xFF
        await RisingEdge(dut.clk)


class Registers(wiring.Component):
    """A core's registers on Wishbone."""

    bus: Any

    def __init__(self, config):
        self.config = config
        super().__init__({"bus": In(WishboneRegisters())})

    def elaborate(self, platform):
        m = Module()
        m.submodules.slave = slave = WishboneSlave()
        m.submodules.control = control = ControlBlock(self.config)
        connect(m, slave.port, control.port)
        connect(m, wiring.flipped(self.bus), slave.bus)
        return m


@cocotb.test(timeout_time=5, timeout_unit="ms", skip=KIND != "slave")
@cocotb.parametrize(gap=[1, 2, 9])
async def a_master_gives_up(dut, gap):
    """Whoever comes after one that gave up, however soon, gets the answer to what he asked."""
    bus = Port(dut, "bus")
    bus.idle()
    await start(dut)
    length, identity, enable, gone = (
        OFFSETS[name] // 4 for name in ("LENGTH", "ID", "IRQ_ENABLE", "POSITION"))  # fmt: skip

    async def ask(*given, **more):
        return await with_timeout(access(dut.clk, bus, *given, **more), 20, "us")

    async def rest():
        for _ in range(gap):
            await RisingEdge(dut.clk)

    assert await ask(gone, 0x4321) == 0
    for patience in range(1, 90, 1 if gap == 1 else 7):
        assert await ask(length, 0x1234) == 0
        for address, value in ((length, None), (63, None), (length, 0x1000 + patience)):
            await ask(address, value, patience=patience)
            await rest()
            assert await ask(identity) == IDENTITY
            assert await ask(enable, patience % 4) == 0
            assert await ask(enable) == patience % 4
        assert await ask(length) == (0x1000 + patience if patience >= 2 else 0x1234)
        assert await ask(gone) == 0x4321


@pytest.mark.parametrize("case", CASES)
def test_parts(case, sim, seed):
    width = CASES[case]
    run(Parts(width), preset("tiny"), test_module="test_soc_parts", tag=case, sim=sim, seed=seed,
        settings={"kind": "parts", "width": width})  # fmt: skip


@pytest.mark.parametrize("case", ["block"])
def test_main_memory(case, sim, seed):
    run(MainMemory(200, 8, 8, bytes(range(200))), preset("tiny"), test_module="test_soc_parts",
        tag=case, sim=sim, seed=seed, settings={"kind": "block"})  # fmt: skip


@pytest.mark.parametrize("case", ["slave"])
def test_wishbone_slave(case, sim, seed):
    run(Registers(preset("tiny")), preset("tiny"), test_module="test_soc_parts", tag=case, sim=sim,
        seed=seed, settings={"kind": "slave"})  # fmt: skip
