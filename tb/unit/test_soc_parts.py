"""Parts of a system around a core, in Amaranth's simulator, with slaves that keep one waiting."""

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.sim import Simulator

from systolith_fpga.soc.arbiter import Arbiter
from systolith_fpga.soc.bridge import Bridge
from systolith_fpga.soc.cpu import cpu_named
from systolith_fpga.soc.decoder import Decoder
from systolith_fpga.soc.main_memory import MainMemory
from systolith_fpga.soc.memory import LocalMemory
from systolith_fpga.soc.register_slice import RegisterSlice
from systolith_fpga.soc.timer import Timer
from systolith_fpga.soc.uart import Uart
from systolith_fpga.soc.wishbone import join
from systolith_hw.config import ConfigError

LIMIT = 20_000
"""Cycles after which a test has hung."""


def simulate(dut, *benches, background=()):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for bench in benches:
        sim.add_testbench(bench)
    for bench in (*background, watchdog):
        sim.add_testbench(bench, background=True)
    sim.run()


async def watchdog(ctx):
    for _ in range(LIMIT):
        await ctx.tick()
    raise TimeoutError(f"the benches did not end in {LIMIT} cycles")


async def access(ctx, bus, address, *, data=None, select=0xF):
    """One classic access; return what was read, or None if it was answered with an error."""
    ctx.set(bus.cyc, 1)
    ctx.set(bus.stb, 1)
    ctx.set(bus.we, data is not None)
    ctx.set(bus.adr, address)
    ctx.set(bus.sel, select)
    ctx.set(bus.dat_w, data or 0)
    while True:
        *_, ack, err, read = await ctx.tick().sample(bus.ack, bus.err, bus.dat_r)
        if ack or err:
            break
    ctx.set(bus.cyc, 0)
    ctx.set(bus.stb, 0)
    return None if err else read


async def slave(ctx, bus, memory, width, rng, *, busy):
    """Play pipelined memory of ``width`` bytes a word, with pauses and late answers; an address
    beyond it is an error."""
    waiting: list[tuple[int, bool, int]] = []
    while True:
        stall = int(rng.random() < busy)
        ctx.set(bus.stall, stall)
        ready = waiting and waiting[0][0] <= 0 and rng.random() >= busy
        ctx.set(bus.ack, 0)
        ctx.set(bus.err, 0)
        if ready:
            _, good, word = waiting.pop(0)
            ctx.set(bus.ack, good)
            ctx.set(bus.err, not good)
            ctx.set(bus.dat_r, word)
        sampled = await ctx.tick().sample(bus.cyc, bus.stb, bus.we, bus.adr, bus.sel, bus.dat_w)
        *_, cyc, stb, we, adr, sel, data = sampled
        waiting = [(left - 1, good, word) for left, good, word in waiting]
        if not (cyc and stb) or stall:
            continue
        at = adr * width
        good, word = at < len(memory), 0
        if good:
            word = int.from_bytes(memory[at : at + width], "little")
            for byte in range(width):
                if we and sel >> byte & 1:
                    memory[at + byte] = data >> 8 * byte & 0xFF
        waiting.append((int(rng.integers(0, 4)), good, word))


@pytest.mark.parametrize("busy", [0.0, 0.5])
@pytest.mark.parametrize("width", [1, 2, 4, 8, 16])
def test_bridge(width, busy, seed):
    """Accesses of any bytes, to memory of any width."""
    rng = np.random.default_rng([seed, width])
    dut = Bridge(12, width)
    memory = bytearray(rng.integers(0, 256, 256, np.uint8).tobytes())
    expected = bytearray(memory)

    async def bench(ctx):
        for _ in range(150):
            address, select = int(rng.integers(0, 64)), int(rng.integers(1, 16))
            if rng.random() < 0.5:
                data = int(rng.integers(0, 1 << 32))
                assert await access(ctx, dut.cpu, address, data=data, select=select) is not None
                for byte in range(4):
                    if select >> byte & 1:
                        expected[4 * address + byte] = data >> 8 * byte & 0xFF
            else:
                word = int.from_bytes(expected[4 * address : 4 * address + 4], "little")
                assert await access(ctx, dut.cpu, address) == word
        assert await access(ctx, dut.cpu, 256 // 4) is None  # beyond: an error, and no hang
        assert await access(ctx, dut.cpu, 0) is not None

    async def play(ctx):
        await slave(ctx, dut.memory, memory, width, np.random.default_rng(seed), busy=busy)

    simulate(dut, bench, background=[play])
    assert memory == expected


@pytest.mark.parametrize("busy", [0.0, 0.5])
def test_register_slice(busy, seed):
    """Accesses one behind the other, answered or refused, are those of the slave, each once."""
    rng = np.random.default_rng(seed)
    dut = Module()
    dut.submodules.part = part = RegisterSlice(10, 4)
    dut.submodules.bridge = bridge = Bridge(12, 4)
    join(dut, part.slave, bridge.cpu)
    held = bytearray(rng.integers(0, 256, 256, np.uint8).tobytes())
    expected = bytearray(held)
    taken: list[int] = []

    async def bench(ctx):
        for turn in range(150):
            place, select = int(rng.integers(0, 80)), int(rng.integers(1, 16))
            data = int(rng.integers(0, 1 << 32)) if rng.random() < 0.5 else None
            found = await access(ctx, part.master, place, data=data, select=select)
            for _ in range(int(rng.integers(0, 3))):
                await ctx.tick()
            assert len(taken) == turn + 1  # not again
            if place >= 64:
                assert found is None
                continue
            for byte in range(4):
                if data is not None and select >> byte & 1:
                    expected[4 * place + byte] = data >> 8 * byte & 0xFF
            word = int.from_bytes(expected[4 * place : 4 * place + 4], "little")
            assert found is not None and (data is not None or found == word)

    async def count(ctx):
        while True:
            *_, ack, err = await ctx.tick().sample(bridge.cpu.ack, bridge.cpu.err)
            taken.extend([0] * (ack | err))

    async def play(ctx):
        await slave(ctx, bridge.memory, held, 4, np.random.default_rng(seed), busy=busy)

    simulate(dut, bench, background=[play, count])
    assert held == expected


@pytest.mark.parametrize("busy", [0.0, 0.4])
@pytest.mark.parametrize("masters, outstanding", [(2, 2), (3, 16)])
def test_arbiter(masters, outstanding, busy, seed):
    """Masters that ask in every cycle, or not: each gets its own answers, in its order."""
    dut = Arbiter(12, 4, masters, outstanding)
    memory = bytearray(4 * 64 * masters)

    def bench(number, port, rng):
        async def run(ctx):
            """Write and read its own part of memory, up to four accesses ahead of the answers."""
            held, left = [0] * 64, 120
            expected: list[int | None] = []
            asking = False
            while left or expected:
                if not asking:
                    asking = bool(left) and len(expected) < 4 and rng.random() > busy
                    if asking:
                        place, we = int(rng.integers(0, 64)), int(rng.integers(0, 2))
                        word = int(rng.integers(0, 1 << 32))
                        ctx.set(port.adr, 64 * number + place)
                        ctx.set(port.we, we)
                        ctx.set(port.dat_w, word)
                        ctx.set(port.sel, 0xF)
                ctx.set(port.stb, asking)
                ctx.set(port.cyc, asking or bool(expected))
                *_, stall, ack, read = await ctx.tick().sample(port.stall, port.ack, port.dat_r)
                if asking and not stall:
                    expected.append(None if we else held[place])
                    held[place] = word if we else held[place]
                    left, asking = left - 1, False
                if ack:
                    wanted = expected.pop(0)
                    assert wanted is None or read == wanted
            ctx.set(port.cyc, 0)
            ctx.set(port.stb, 0)

        return run

    async def play(ctx):
        await slave(ctx, dut.slave, memory, 4, np.random.default_rng(seed), busy=busy)

    stalled = []

    async def hold(ctx):
        """Check that what memory does not take stays as it is until it does."""
        bus, waiting = dut.slave, None
        while True:
            *_, stb, stall, asked = await ctx.tick().sample(
                bus.stb, bus.stall, Cat(bus.cyc, bus.stb, bus.we, bus.adr, bus.sel, bus.dat_w))
            assert waiting is None or asked == waiting
            waiting = asked if stb and stall else None
            stalled.append(waiting is not None)

    benches = [bench(number, port, np.random.default_rng([seed, number]))
               for number, port in enumerate(dut.masters)]  # fmt: skip
    simulate(dut, *benches, background=[play, hold])
    assert any(stalled) == bool(busy)


def test_memory_keeps_up(seed):
    """An access in each cycle, an answer in each; beyond the end an error, and nothing written."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 256, 96, np.uint8).tobytes()
    dut = MainMemory(264, 8, 8, first)
    held = bytearray(first.ljust(264, b"\0"))

    async def bench(ctx):
        bus, answer = dut.bus, None
        ctx.set(bus.cyc, 1)
        ctx.set(bus.stb, 1)
        for _ in range(300):
            place, select = int(rng.integers(0, 40)), int(rng.integers(0, 256))
            we, data = int(rng.integers(0, 2)), int(rng.integers(0, 1 << 63))
            for name, value in (("adr", place), ("sel", select), ("we", we), ("dat_w", data)):
                ctx.set(getattr(bus, name), value)
            *_, ack, err, read = await ctx.tick().sample(bus.ack, bus.err, bus.dat_r)
            if answer is not None:
                there, word = answer
                assert (ack, err) == (there, not there)
                assert not there or word is None or read == word
            word = int.from_bytes(held[8 * place : 8 * place + 8], "little")
            answer = (place < 33, None if we else word)
            if we and place < 33:
                for byte in range(8):
                    if select >> byte & 1:
                        held[8 * place + byte] = data >> 8 * byte & 0xFF

    simulate(dut, bench)


def test_decoder_and_slaves(seed):
    """Each page is somebody else's; nobody's is an error."""
    m = Module()
    decoder: Any
    m.submodules.decoder = decoder = Decoder({0: "local", 9: "timer"})
    m.submodules.local = local = LocalMemory(48, b"\x01\x02\x03\x04\x05")
    m.submodules.timer = timer = Timer()
    join(m, decoder.local, local.bus)
    join(m, decoder.timer, timer.bus)

    async def bench(ctx):
        bus = decoder.bus
        assert await access(ctx, bus, 0) == 0x04030201
        assert await access(ctx, bus, 1, data=0xAABBCCDD, select=0b0110) is not None
        assert await access(ctx, bus, 1) == 0x00BBCC05
        assert await access(ctx, bus, 5 << 26) is None
        first = await access(ctx, bus, 9 << 26)
        await ctx.tick().repeat(100)
        second = await access(ctx, bus, 9 << 26)
        assert 100 <= second - first < 110
        assert await access(ctx, bus, (9 << 26) + 1) == 0
        assert await access(ctx, bus, 9 << 26, data=7) is not None
        assert await access(ctx, bus, 9 << 26) > second

    simulate(m, bench)


@pytest.mark.parametrize("divisor", [4, 7, 16])
def test_uart(divisor, seed):
    """Two UARTs talk; what is not fetched in time is told of; half a bit is no character."""
    m = Module()
    m.submodules.one = one = Uart(divisor)
    m.submodules.other = other = Uart(divisor)
    m.d.comb += [other.rx.eq(one.tx)]
    rng = np.random.default_rng(seed)
    sent: list[int] = [*map(int, rng.integers(0, 256, 12))]
    got: list[int] = []

    async def sender(ctx):
        for character in sent:
            while not await access(ctx, one.bus, 1) & 1:
                pass
            await access(ctx, one.bus, 0, data=character)

    async def receiver(ctx):
        while len(got) < len(sent):
            while not await access(ctx, other.bus, 1) & 2:
                pass
            got.append(await access(ctx, other.bus, 0))
        assert not await access(ctx, other.bus, 1) & 0b110

    simulate(m, sender, receiver)
    assert got == sent


def test_uart_loses_nothing_unsaid():
    dut = Uart(4)

    async def bench(ctx):
        async def send(byte):
            for bit in [0, *(byte >> place & 1 for place in range(8)), 1]:
                ctx.set(dut.rx, bit)
                await ctx.tick().repeat(4)
            await ctx.tick().repeat(4)  # the synchroniser's, and the middle of a bit

        ctx.set(dut.rx, 0)  # too short for a start bit
        await ctx.tick()
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(60)
        assert await access(ctx, dut.bus, 1) == 1
        await send(0x5A)
        assert await access(ctx, dut.bus, 1) == 0b011
        await send(0xA5)
        assert await access(ctx, dut.bus, 1) == 0b111
        assert await access(ctx, dut.bus, 0) == 0xA5
        assert await access(ctx, dut.bus, 1) == 0b001

    simulate(dut, bench)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("make, says", [
    (lambda: Bridge(12, 3), "data_bytes must be a power of two, not 3"),
    (lambda: Arbiter(8, 4, 1), "masters must be at least 2, not 1"),
    (lambda: Arbiter(8, 4, 2, 3), "outstanding must be a power of two from 2, not 3"),
    (lambda: MainMemory(20, 8, 8), "size must be a multiple of 8 bytes, at least 16, not 20"),
    (lambda: MainMemory(8, 8, 8), "size must be a multiple of 8 bytes, at least 16, not 8"),
    (lambda: MainMemory(16, 8, 8, bytes(17)), "contents of 17 bytes do not fit a size of 16"),
    (lambda: LocalMemory(10), "size must be a multiple of 4 bytes, at least 8, not 10"),
    (lambda: LocalMemory(8, bytes(9)), "contents of 9 bytes do not fit a size of 8"),
    (lambda: Decoder({16: "x"}), "a page must be in 0..15, not 16"),
    (lambda: Uart(3), "divisor must be at least 4 cycles of a bit, not 3"),
])  # fmt: skip
def test_refusals(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_unknown_cpu():
    with pytest.raises(ConfigError, match="there is no CPU z80; known are sentinel, vexriscv"):
        cpu_named("z80")
