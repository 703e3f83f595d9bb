"""SerialSemaphores: every count that is posted is given once, and none besides."""

import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from systolith_hw.config import Config, SequencerConfig
from systolith_hw.sequencer.serial.semaphores import PERIOD, UNITS, SerialSemaphores

POSTERS = 2 * UNITS


class Bench:
    """Drives a file; a script is a testbench with ``step``."""

    def __init__(self, semaphores=8, bits=8):
        config = Config(sequencer=SequencerConfig(semaphores=semaphores, semaphore_bits=bits))
        self.dut = SerialSemaphores(config)
        self.waits = [getattr(self.dut, f"wait_{index}") for index in range(UNITS)]
        self.posts = [getattr(self.dut, f"post_{index}") for index in range(POSTERS)]

    async def step(self, ctx, waits=(), posts=()):
        """Present waits, {port: semaphore}, and posting ports; return the granted ports."""
        waits = dict(waits)
        for port, wait in enumerate(self.waits):
            ctx.set(wait.valid, port in waits)
            if port in waits:
                ctx.set(wait.id, waits[port])
        for port, post in enumerate(self.posts):
            ctx.set(post.valid, port in posts)
        granted = {port for port, wait in enumerate(self.waits) if ctx.get(wait.ready)}
        assert granted <= set(waits)
        await ctx.tick()
        return granted

    async def rest(self, ctx, cycles=2 * PERIOD):
        for _ in range(cycles):
            await self.step(ctx)

    async def clear(self, ctx):
        ctx.set(self.dut.clear, 1)
        await self.step(ctx)
        ctx.set(self.dut.clear, 0)
        await self.rest(ctx, 40)

    async def take(self, ctx, port, semaphore, limit=2 * PERIOD):
        """Return whether a count comes within ``limit`` cycles."""
        for _ in range(limit):
            if await self.step(ctx, {port: semaphore}):
                return True
        return False

    def misuse(self, ctx):
        return ctx.get(self.dut.misuse_unit) if ctx.get(self.dut.misuse) else None

    def run(self, script):
        async def started(ctx):
            await self.clear(ctx)
            await script(ctx)

        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_testbench(started)
        sim.run()


@pytest.mark.parametrize("semaphores, bits", [(4, 10), (6, 9), (16, 10)])
@pytest.mark.parametrize("rate", [0.02, 0.2, 0.9])
def test_gives_what_is_posted(semaphores, bits, rate):
    rng = random.Random(semaphores)
    bench = Bench(semaphores, bits)

    async def script(ctx):
        posted = [0] * semaphores
        given = [0] * semaphores
        wanted: dict[int, int] = {}
        for _ in range(4):
            for post in bench.posts:
                ctx.set(post.id, rng.randrange(semaphores))
            for _ in range(120):
                for port in range(UNITS):
                    if port not in wanted and rng.random() < 0.3:
                        wanted[port] = rng.choice(range(port, semaphores, UNITS))
                posts = {port for port in range(POSTERS) if rng.random() < rate / POSTERS}
                for port in posts:
                    posted[ctx.get(bench.posts[port].id)] += 1
                for port in await bench.step(ctx, wanted, posts):
                    given[wanted.pop(port)] += 1
            # What still waits gets a count, or none is left.
            for _ in range(2 * PERIOD):
                for port in await bench.step(ctx, wanted):
                    given[wanted.pop(port)] += 1
            assert all(given[item] == posted[item] for item in wanted.values())
            assert all(g <= p for g, p in zip(given, posted, strict=True))
        for semaphore in range(semaphores):
            while await bench.take(ctx, semaphore % UNITS, semaphore):
                given[semaphore] += 1
        assert given == posted
        assert bench.misuse(ctx) is None

    bench.run(script)


def test_posts_in_every_cycle_from_everywhere():
    bench = Bench(bits=10)

    async def script(ctx):
        for post in bench.posts:
            ctx.set(post.id, 5)
        for _ in range(100):
            await bench.step(ctx, {}, range(POSTERS))
        count = 0
        while await bench.take(ctx, 2, 5):
            count += 1
        assert count == 100 * POSTERS
        assert bench.misuse(ctx) is None

    bench.run(script)


def test_clear():
    bench = Bench()

    async def script(ctx):
        for index, post in enumerate(bench.posts):
            ctx.set(post.id, index)
        await bench.step(ctx, {}, range(POSTERS))
        await bench.clear(ctx)
        for semaphore in range(8):
            assert not await bench.take(ctx, 0, semaphore)

    bench.run(script)


@pytest.mark.parametrize("port", range(POSTERS))
def test_overflow_names_the_unit(port):
    bench = Bench(bits=4)

    async def script(ctx):
        ctx.set(bench.posts[port].id, 3)
        for _ in range(15):
            await bench.step(ctx, {}, {port})
        await bench.rest(ctx)
        assert bench.misuse(ctx) is None
        await bench.step(ctx, {}, {port})
        await bench.rest(ctx)
        assert bench.misuse(ctx) == port // 2
        await bench.clear(ctx)
        assert bench.misuse(ctx) is None

    bench.run(script)


@pytest.mark.parametrize("unit", range(UNITS))
def test_a_semaphore_that_does_not_exist(unit):
    bench = Bench(semaphores=5)

    async def script(ctx):
        assert not await bench.take(ctx, unit, 5)
        assert bench.misuse(ctx) == unit
        await bench.clear(ctx)
        ctx.set(bench.posts[2 * unit + 1].id, 15)
        await bench.rest(ctx)
        assert bench.misuse(ctx) is None, "nobody posts"
        await bench.step(ctx, {}, {2 * unit + 1})
        await bench.rest(ctx)
        assert bench.misuse(ctx) == unit

    bench.run(script)


@pytest.mark.parametrize("offset", range(PERIOD))
@pytest.mark.parametrize("port", range(POSTERS))
def test_idle_only_when_misuse_is_told(port, offset):
    """``idle`` falls with the post, at any time of the scan, and comes back after its count."""
    bench = Bench(bits=2)

    async def script(ctx):
        ctx.set(bench.posts[port].id, 3)
        await bench.rest(ctx, offset)
        for count in range(1, 5):
            assert ctx.get(bench.dut.idle)
            ctx.set(bench.posts[port].valid, 1)
            assert not ctx.get(bench.dut.idle)
            await bench.step(ctx, {}, {port})
            cycles = 0
            while not ctx.get(bench.dut.idle):
                await bench.step(ctx)
                cycles += 1
            assert 0 < cycles <= PERIOD
            assert bench.misuse(ctx) == (port // 2 if count == 4 else None)

    bench.run(script)


@pytest.mark.parametrize("bits", [2, 16])
def test_elaborates(bits):
    verilog.convert(Bench(16, bits).dut)


@pytest.mark.parametrize("offset", range(PERIOD))
def test_whoever_asks_during_a_visit(offset):
    """The count of the semaphore asked for last is not mistaken for that of the next."""
    bench = Bench()

    async def script(ctx):
        ctx.set(bench.posts[0].id, 1)
        ctx.set(bench.posts[1].id, 2)
        for _ in range(5):
            await bench.step(ctx, {}, {0})
        await bench.step(ctx, {}, {1})
        await bench.rest(ctx, 2 * PERIOD)
        assert await bench.take(ctx, 3, 1)
        await bench.rest(ctx, offset)
        assert await bench.take(ctx, 3, 2)
        assert not await bench.take(ctx, 3, 2)
        assert [await bench.take(ctx, 3, 1) for _ in range(5)] == [True] * 4 + [False]

    bench.run(script)
