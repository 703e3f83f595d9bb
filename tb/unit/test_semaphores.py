"""SemaphoreFile against counters in Python."""

import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from systolith_hw.config import Config, SequencerConfig
from systolith_hw.presets import PRESETS
from systolith_hw.sequencer.semaphores import SemaphoreFile

UNITS = pytest.mark.parametrize("units", [4, 5])


class Bench:
    """Drives a file for one cycle after another; a script is a testbench with ``step``."""

    def __init__(self, semaphores=8, bits=8, units=4):
        self.config = Config(
            sequencer=SequencerConfig(semaphores=semaphores, semaphore_bits=bits)
        )
        self.dut = SemaphoreFile(self.config, units)
        self.waits = [getattr(self.dut, f"wait_{index}") for index in range(units)]
        self.posts = [getattr(self.dut, f"post_{index}") for index in range(2 * units)]

    async def step(self, ctx, waits=(), posts=(), clear=0, credit=None):
        """Present waits and posts, {port: semaphore}, for a cycle; return the granted ports.

        ``taken`` says whether ``credit`` was.
        """
        waits, posts = dict(waits), dict(posts)
        for port, wait in enumerate(self.waits):
            ctx.set(wait.valid, port in waits)
            ctx.set(wait.id, waits.get(port, 0))
        for port, post in enumerate(self.posts):
            ctx.set(post.valid, port in posts)
            ctx.set(post.id, posts.get(port, 0))
        ctx.set(self.dut.clear, clear)
        ctx.set(self.dut.credit.valid, credit is not None)
        ctx.set(self.dut.credit.payload, credit or 0)
        self.taken = credit is not None and ctx.get(self.dut.credit.ready)
        granted = {port for port in waits if ctx.get(self.waits[port].ready)}
        await ctx.tick()
        return granted

    def misuse(self, ctx):
        return ctx.get(self.dut.misuse_unit) if ctx.get(self.dut.misuse) else None

    def run(self, script):
        async def started(ctx):
            await self.step(ctx, clear=1)
            await script(ctx)

        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_testbench(started)
        sim.run()


@UNITS
@pytest.mark.parametrize("semaphores, bits", [(1, 8), (5, 8), (8, 6), (16, 10)])
@pytest.mark.parametrize("rate", [0.1, 0.9])
def test_never_gives_more_than_there_is(semaphores, bits, rate, units):
    """Grants are those of a counter whose posts count some cycles later, one in a cycle."""
    rng = random.Random(semaphores)
    bench = Bench(semaphores, bits, units)
    waiters, posters, latency = units, 2 * units, bench.dut.latency

    async def script(ctx):
        counts = [0] * semaphores
        late: list[list[int]] = [[] for _ in range(latency)]
        wanted: dict[int, int] = {}
        again = [0] * waiters  # when each may ask again
        total = 0
        for cycle in range(300):
            for semaphore in late.pop(0):
                counts[semaphore] += 1
            # As in a program, one unit waits for a semaphore.
            for port in range(min(waiters, semaphores)):
                mine = range(port, semaphores, waiters)
                if port not in wanted and cycle >= again[port] and rng.random() < 0.8:
                    wanted[port] = rng.choice(mine)
            limit = (1 << bits) - 1 - posters * (latency + 1)
            posts = {
                port: semaphore
                for port in range(posters)
                if rng.random() < rate
                and counts[semaphore := rng.choice([0, rng.randrange(semaphores)])] < limit
            }
            credit = rng.randrange(semaphores) if rng.random() < rate else None
            if credit is not None and counts[credit] >= limit:
                credit = None
            granted = await bench.step(ctx, wanted, posts, credit=credit)
            assert bench.taken == (credit is not None and posters - 1 not in posts)
            late.append([*posts.values(), *([credit or 0] if bench.taken else [])])
            ready = [port for port, item in wanted.items() if counts[item]]
            assert granted == ({min(ready)} if ready else set())
            for port in granted:
                again[port] = cycle + 3
                counts[wanted.pop(port)] -= 1
                total += 1
            assert bench.misuse(ctx) is None
        assert total > 10

    bench.run(script)


@UNITS
def test_latency_of_a_post(units):
    bench = Bench(units=units)

    async def script(ctx):
        assert await bench.step(ctx, {1: 3}, {5: 3}) == set()
        for _ in range(bench.dut.latency - 1):
            assert await bench.step(ctx, {1: 3}) == set()
        assert await bench.step(ctx, {1: 3}) == {1}
        for _ in range(4):
            await bench.step(ctx)
            await bench.step(ctx)
            assert await bench.step(ctx, {1: 3}) == set()

    bench.run(script)


@UNITS
def test_all_posts_of_one_cycle_count(units):
    bench = Bench(units=units)

    async def script(ctx):
        await bench.step(ctx, {}, dict.fromkeys(range(2 * units), 6))
        for _ in range(bench.dut.latency - 1):
            await bench.step(ctx)
        granted = []
        for _ in range(12):
            granted.append(bool(await bench.step(ctx, {2: 6})))
            await bench.step(ctx)
            await bench.step(ctx)
        assert granted == [True] * 2 * units + [False] * (12 - 2 * units)

    bench.run(script)


def test_clear():
    bench = Bench()

    async def script(ctx):
        await bench.step(ctx, {}, {0: 1, 1: 1, 2: 2})
        await bench.step(ctx, {}, {0: 15})
        await bench.step(ctx)
        await bench.step(ctx)
        assert bench.misuse(ctx) == 0
        await bench.step(ctx, clear=1)
        assert bench.misuse(ctx) is None
        for _ in range(4):
            assert await bench.step(ctx, {0: 1, 1: 2}) == set()

    bench.run(script)


@UNITS
@pytest.mark.parametrize("semaphores, wait, post, unit", [
    (8, {2: 8}, {}, 2),
    (5, {0: 5}, {}, 0),
    (5, {}, {3: 7, 6: 9}, 1),
    (1, {}, {7: 1}, 3),
    (1, {3: 15}, {}, 3),
])  # fmt: skip
def test_unknown_semaphore(semaphores, wait, post, unit, units):
    bench = Bench(semaphores, units=units)

    async def script(ctx):
        await bench.step(ctx, wait, post)
        for _ in range(3):
            await bench.step(ctx)
        assert bench.misuse(ctx) == unit

    bench.run(script)


@UNITS
@pytest.mark.parametrize("bits", [2, 4])
def test_count_beyond_its_range(bits, units):
    bench = Bench(bits=bits, units=units)

    async def script(ctx):
        for _ in range((1 << bits) - 1):
            await bench.step(ctx, {}, {4: 2})
        for _ in range(6):
            await bench.step(ctx)
        assert bench.misuse(ctx) is None, "the largest count is legal"
        await bench.step(ctx, {}, {5: 2})
        for _ in range(4):
            await bench.step(ctx, {}, {0: 1})
        assert bench.misuse(ctx) == 2

    bench.run(script)


def test_post_and_wait_at_the_largest_count():
    bench = Bench(bits=2)

    async def script(ctx):
        for _ in range(3):
            await bench.step(ctx, {}, {4: 2})
        # What is taken counts a cycle later than what is posted.
        assert await bench.step(ctx, {1: 2}) == {1}
        await bench.step(ctx, {}, {5: 2})
        for _ in range(5):
            await bench.step(ctx)
        assert bench.misuse(ctx) is None

    bench.run(script)


def test_two_waiters_of_one_semaphore():
    bench = Bench()

    async def script(ctx):
        await bench.step(ctx, {}, {0: 4, 1: 4, 2: 4})
        await bench.step(ctx)
        assert await bench.step(ctx, {0: 4, 2: 5}) == {0}
        assert await bench.step(ctx, {1: 4, 3: 4}) == {1}
        for _ in range(4):
            await bench.step(ctx)
        assert bench.misuse(ctx) is None
        assert await bench.step(ctx, {2: 4}) == {2}
        assert await bench.step(ctx, {3: 4}) == {3}, "a count that is not there"
        await bench.step(ctx, {}, {6: 1})
        await bench.step(ctx)
        await bench.step(ctx)
        assert bench.misuse(ctx) is not None

    bench.run(script)


@pytest.mark.parametrize("semaphore, times, unit", [(9, 1, 4), (2, 5, 4), (2, 3, None)])
def test_misuse_of_credit(semaphore, times, unit):
    bench = Bench(5, bits=2)

    async def script(ctx):
        for _ in range(times):
            await bench.step(ctx, {}, {0: 1} if times == 1 else {}, credit=semaphore)
            assert bench.taken
        for _ in range(4):
            await bench.step(ctx)
        assert bench.misuse(ctx) == unit

    bench.run(script)


@pytest.mark.parametrize("name", ["tiny", "ulx3s"])
def test_verilog(name):
    verilog.convert(SemaphoreFile(PRESETS[name]))
