"""ProgramFetch: what it asks for, when, and what gets to the program memory."""

import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from systolith_hw.config import Config
from systolith_hw.isa import Opcode, encode
from systolith_hw.presets import PRESETS
from systolith_hw.sequencer.fetch import FetchShape, ProgramFetch

from .sequencer_bench import Memory, Teller, small_config, unit_instruction

PORTS = [(1, 1), (1, 256), (2, 16), (4, 2), (8, 32), (16, 1), (32, 4), (64, 64), (128, 2)]


class Bench:
    """A fetch unit, external memory, and the program memory as a dictionary of bytes."""

    def __init__(self, config, *, seed=0, pace=1.0, delay=0, outstanding=1000, limit=6000):
        self.config = config
        self.dut = ProgramFetch(config)
        self.memory = Memory(
            config, random.Random(seed), pace=pace, delay=delay, outstanding=outstanding
        )
        self.teller = Teller(self.dut.settings)
        self.limit = limit
        self.stored: dict[int, int] = {}
        self.beats = 0

    async def store(self, ctx):
        dut = self.dut
        part = min(8, self.config.bus.data_bytes)
        while True:
            *_, enable, address, value, beat = await ctx.tick().sample(
                dut.write_enable, dut.write_address, dut.write_data, dut.beat
            )
            self.beats += beat
            for byte in range(part if enable else 0):
                self.stored[address * part + byte] = value >> 8 * byte & 0xFF

    def slot(self, index):
        """Return the bytes of an instruction's slot."""
        first = index % self.config.memory.program_instructions * 32
        return bytes(self.stored.get(first + byte, 0) for byte in range(32))

    async def command(self, ctx, signal, address=0):
        self.teller.values["program"] = address
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def rest(self, ctx, cycles=40):
        """Wait until nothing has moved for some cycles."""
        quiet = 0
        while quiet < cycles:
            beats = self.beats
            await ctx.tick()
            quiet = quiet + 1 if ctx.get(self.dut.idle) and beats == self.beats else 0

    def run(self, script):
        async def watch(ctx):
            for _ in range(self.limit):
                await ctx.tick()
            raise AssertionError(f"no end after {self.limit} cycles")

        async def serve(ctx):
            await self.memory.serve(ctx, self.dut.bus)

        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_testbench(script)
        for process in (serve, self.store, self.teller.tell, watch):
            sim.add_testbench(process, background=True)
        sim.run()


def instructions(count, seed=0):
    rng = random.Random(seed)
    return [unit_instruction(rng, Config(), patches=2) for _ in range(count)]


@pytest.mark.parametrize("pace, delay", [(1.0, 0), (0.4, 7)])
@pytest.mark.parametrize("data_bytes, burst_beats", PORTS)
def test_window_slides(data_bytes, burst_beats, pace, delay):
    """Everything inside the window comes, in its slot, and nothing beyond the window."""
    config = small_config(data_bytes=data_bytes, burst_beats=burst_beats, window=8)
    mask = (1 << FetchShape(config).index_bits) - 1
    program = instructions(24)
    bench = Bench(config, pace=pace, delay=delay)
    address = 0x1000 - 128  # so that bursts meet a border of 4096 bytes
    bench.memory.place(b"".join(program), address)

    async def script(ctx):
        await bench.command(ctx, bench.dut.program_write, address)
        for oldest in (0, 1, 3, 4, 9, 14):
            ctx.set(bench.dut.oldest, oldest)
            await bench.rest(ctx)
            assert ctx.get(bench.dut.fetched) == (oldest + 8) & mask
            for index in range(oldest, oldest + 8):
                assert bench.slot(index) == program[index]
            last = max(start + beats * data_bytes for start, beats in bench.memory.requests)
            beat = max(32, data_bytes)
            assert last - address <= -(-(oldest + 8) * 32 // beat) * beat

    bench.run(script)
    asked = sum(beats for _, beats in bench.memory.requests)
    assert bench.beats == asked
    expected, requests = address, bench.memory.requests
    for start, beats in requests:
        assert start == expected
        expected += beats * data_bytes


def test_bursts_are_as_long_as_they_can_be():
    config = small_config(data_bytes=8, burst_beats=32, window=32)
    bench = Bench(config)

    async def script(ctx):
        await bench.command(ctx, bench.dut.program_write, 0x1060)
        await bench.rest(ctx)

    bench.memory.place(b"".join(instructions(40)), 0x1060)
    bench.run(script)
    assert bench.memory.requests == [
        (0x1060, 20), (0x1100, 32), (0x1200, 32), (0x1300, 32), (0x1400, 12),
    ]  # fmt: skip


def test_bursts_overlap():
    """Several bursts are under way while the first beat is waited for."""
    config = small_config(data_bytes=8, burst_beats=8, window=32)
    bench = Bench(config, delay=60)
    bench.memory.place(b"".join(instructions(40)), 0)

    async def script(ctx):
        await bench.command(ctx, bench.dut.program_write)
        await ctx.tick().repeat(30)
        assert bench.beats == 0
        assert len(bench.memory.requests) >= 4

    bench.run(script)


def test_latency():
    config = small_config()
    bench = Bench(config)
    bench.memory.place(b"".join(instructions(20)), 0)

    async def script(ctx):
        await bench.command(ctx, bench.dut.program_write)
        asked, beats, came = [], [], []
        told = 3  # cycles until the upper half of the address has come by
        for cycle in range(1, 40):
            *_, ask, beat, fetched = await ctx.tick().sample(
                bench.dut.bus.request.valid, bench.dut.beat, bench.dut.fetched
            )
            asked += [cycle] * ask
            beats += [cycle] * beat
            came += [cycle] * (fetched >= 1)
        assert asked[0] == 4 + told
        assert came[0] - beats[3] == 2

    bench.run(script)


@pytest.mark.parametrize("data_bytes", [2, 8, 64])
def test_end_stops_fetching_until_it_is_passed(data_bytes):
    config = small_config(data_bytes=data_bytes, burst_beats=64 // data_bytes, window=32)
    program = instructions(30)
    program[4] = program[20] = encode(Opcode.END)
    bench = Bench(config, outstanding=2)
    bench.memory.place(b"".join(program), 0)

    async def script(ctx):
        await bench.command(ctx, bench.dut.program_write)
        await bench.rest(ctx)
        assert 5 <= ctx.get(bench.dut.fetched) < 20
        # The sequencer has skipped the END, and waits.
        ctx.set(bench.dut.oldest, 19)
        while (fetched := ctx.get(bench.dut.fetched)) <= 20:
            ctx.set(bench.dut.starving, fetched <= 19)
            await ctx.tick()
        ctx.set(bench.dut.starving, 0)
        await bench.rest(ctx)
        assert bench.slot(20) == program[20]
        assert ctx.get(bench.dut.fetched) < 30

    bench.run(script)


def test_beginning_is_kept_until_the_whole_window_has_come_without_an_end():
    config = small_config(window=8, burst_beats=4)
    program = instructions(12)
    program[6] = encode(Opcode.END)
    bench = Bench(config, delay=25)
    bench.memory.place(b"".join(program), 0)

    async def script(ctx):
        await bench.command(ctx, bench.dut.program_write)
        ctx.set(bench.dut.oldest, 6)  # far ahead of what has come
        await bench.rest(ctx)
        asked = len(bench.memory.requests)
        await bench.command(ctx, bench.dut.start)
        ctx.set(bench.dut.oldest, 0)
        await bench.rest(ctx)
        assert len(bench.memory.requests) == asked
        assert [bench.slot(index) for index in range(7)] == program[:7]

    bench.run(script)


@pytest.mark.parametrize("data_bytes", [1, 2, 8, 16, 32, 128])
@pytest.mark.parametrize("bad", [0, 3, 7])
def test_error(data_bytes, bad):
    """An error ends fetching; what came before counts, what comes later is dropped."""
    config = small_config(data_bytes=data_bytes, burst_beats=8, window=16)
    grain = max(32, data_bytes)
    first = bad * 32 // grain * grain
    program = instructions(20)
    bench = Bench(config, delay=3)
    bench.memory.place(b"".join(program), 0)
    bench.memory.errors = {first + grain - data_bytes}

    async def script(ctx):
        await bench.command(ctx, bench.dut.program_write)
        await bench.rest(ctx)
        assert ctx.get(bench.dut.failed)
        assert ctx.get(bench.dut.fetched) == first // 32
        assert [bench.slot(index) for index in range(first // 32)] == program[: first // 32]
        asked = len(bench.memory.requests)
        ctx.set(bench.dut.starving, 1)
        await bench.rest(ctx)
        assert len(bench.memory.requests) == asked
        # Another program forgets it.
        ctx.set(bench.dut.starving, 0)
        bench.memory.errors = set()
        await bench.command(ctx, bench.dut.program_write)
        await bench.rest(ctx)
        assert not ctx.get(bench.dut.failed)
        assert ctx.get(bench.dut.fetched) == 16

    bench.run(script)


@pytest.mark.parametrize("data_bytes", [2, 8, 32, 128])
@pytest.mark.parametrize("wait", [1, 4, 15, 40])
def test_new_program_drops_what_is_on_its_way(data_bytes, wait):
    config = small_config(data_bytes=data_bytes, burst_beats=4, window=8)
    old, new = instructions(12, 1), instructions(12, 2)
    bench = Bench(config, delay=9, pace=0.6)
    bench.memory.place(b"".join(old), 0)
    bench.memory.place(b"".join(new), 0x4000)

    async def script(ctx):
        await bench.command(ctx, bench.dut.program_write)
        await ctx.tick().repeat(wait)
        await bench.command(ctx, bench.dut.program_write, 0x4000)
        await bench.rest(ctx)
        assert [bench.slot(index) for index in range(8)] == new[:8]
        assert ctx.get(bench.dut.fetched) == 8

    bench.run(script)


@pytest.mark.parametrize("data_bytes", [8, 128])
def test_halt_completes_what_was_asked_for(data_bytes):
    config = small_config(data_bytes=data_bytes, burst_beats=4, window=16)
    bench = Bench(config, delay=20, pace=0.5)
    bench.memory.place(b"".join(instructions(20)), 0)

    async def script(ctx):
        await bench.command(ctx, bench.dut.program_write)
        await ctx.tick().repeat(12)
        ctx.set(bench.dut.halt, 1)
        await ctx.tick()
        asked = len(bench.memory.requests)
        stored = dict(bench.stored)
        await bench.rest(ctx)
        assert len(bench.memory.requests) <= asked + 1
        assert bench.stored == stored
        assert bench.beats == sum(beats for _, beats in bench.memory.requests)
        # After a halt nothing is taken to be there.
        ctx.set(bench.dut.halt, 0)
        await bench.command(ctx, bench.dut.start)
        await bench.rest(ctx)
        assert ctx.get(bench.dut.fetched) == 16

    bench.run(script)


@pytest.mark.parametrize("name", ["tiny", "ulx3s", "wide"])
def test_verilog(name):
    verilog.convert(ProgramFetch(PRESETS[name]))
