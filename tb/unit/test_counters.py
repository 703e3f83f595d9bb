"""CounterBank against additions."""

import random
from collections import Counter as Tally

import pytest
from amaranth.back import verilog

from systolith_hw.config import ArrayConfig, Config, VectorConfig
from systolith_hw.control.counters import CounterBank, event_layout
from systolith_hw.presets import preset
from systolith_hw.registers import COUNTERS

from .axi_model import simulate

NAMES = [counter.name.lower() for counter in COUNTERS]
SATURATIONS = NAMES.index("saturations")
ROUND = len(COUNTERS)
LARGEST = Config(array=ArrayConfig(rows=64, columns=64, output_depth=80),
                 vector=VectorConfig(lanes=64))  # fmt: skip


class Host:
    """Drives a CounterBank cycle by cycle and counts along."""

    def __init__(self, ctx, dut, rng):
        self.ctx, self.dut, self.rng = ctx, dut, rng
        self.counts: Tally[str] = Tally()
        self.most = (1 << len(dut.events.saturations)) - 1

    async def cycle(self, p=0.0, *, enable=1, clear=0, **strobes):
        """Pass one cycle in which every event happens with probability ``p``."""
        ctx, dut = self.ctx, self.dut
        events = {name: int(self.rng.random() < p) for name in NAMES[1:]}
        if events["saturations"] and p < 1:
            events["saturations"] = self.rng.randint(1, self.most)
        elif p == 1:
            events["saturations"] = self.most
        ctx.set(dut.events, events)
        ctx.set(dut.enable, enable)
        ctx.set(dut.clear, clear)
        for name, value in strobes.items():
            ctx.set(getattr(dut, name), value)
        sample = await ctx.tick().sample(dut.valid, dut.value)
        if clear:
            self.counts.clear()
        elif enable:
            self.counts.update(cycles=1, **events)
        return sample[-2:]

    async def read(self, index, p=0.0, *, enable=0):
        """Return the value of a counter, and how many cycles it took."""
        await self.cycle(p, enable=enable, read=1, index=index)
        for latency in range(1, 100):
            valid, value = await self.cycle(p, enable=enable, read=0)
            if valid:
                return value, latency
        raise AssertionError("no answer")

    async def check_all(self):
        order = list(range(len(COUNTERS)))
        self.rng.shuffle(order)
        for index in order:
            value, _ = await self.read(index)
            assert value == self.counts[NAMES[index]], NAMES[index]


def bench_of(config, body, *, seed=0, deadline=60_000):
    rng = random.Random(seed)
    dut = CounterBank(config)

    async def bench(ctx):
        await body(Host(ctx, dut, rng), rng)

    simulate(dut, bench, deadline=deadline)


@pytest.mark.parametrize("config", [preset("tiny"), LARGEST], ids=["tiny", "largest"])
@pytest.mark.parametrize("p", [0.03, 0.5, 1.0])
def test_exact_after_stop(config, p):
    async def body(host, rng):
        await host.cycle(clear=1)
        for _ in range(3):
            for _ in range(rng.randrange(200, 700)):
                await host.cycle(p)
            await host.check_all()

    bench_of(config, body)


def test_exact_however_soon_after_stop():
    """The first read follows the last event at once."""

    async def body(host, rng):
        for trial in range(60):
            await host.cycle(clear=1)
            for _ in range(trial):
                await host.cycle(1.0)
            index = rng.choice([trial % ROUND, SATURATIONS])
            value, _ = await host.read(index)
            assert value == host.counts[NAMES[index]]

    bench_of(preset("tiny"), body)


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_reads_while_counting(p):
    """What is read was the count at some cycle of the read."""

    async def body(host, rng):
        for trial in range(150):
            index = trial % ROUND
            before = host.counts[NAMES[index]]
            value, _ = await host.read(index, p, enable=1)
            assert before <= value <= host.counts[NAMES[index]]
        await host.check_all()

    bench_of(preset("ulx3s"), body)


def test_clear_at_any_moment():
    async def body(host, rng):
        for _ in range(80):
            for _ in range(rng.randrange(70)):
                await host.cycle(1.0)
            await host.cycle(1.0, clear=1, enable=rng.randrange(2))
            for _ in range(rng.randrange(4)):
                await host.cycle(1.0, clear=rng.randrange(2))
            index = rng.randrange(ROUND)
            before = host.counts[NAMES[index]]
            value, _ = await host.read(index, 1.0, enable=1)
            assert before <= value <= host.counts[NAMES[index]]
        await host.check_all()

    bench_of(preset("tiny"), body)


def test_read_during_clear_is_answered():
    async def body(host, rng):
        for delay in range(ROUND + 6):
            for _ in range(50):
                await host.cycle(1.0)
            count = host.counts[NAMES[delay % ROUND]]
            await host.cycle(read=1, index=delay % ROUND, enable=0)
            ctx, dut = host.ctx, host.dut
            ctx.set(dut.read, 0)
            answered = [await host.cycle(enable=0) for _ in range(delay)]
            answered += [await host.cycle(clear=1) for _ in range(3)]
            answered += [await host.cycle(enable=0) for _ in range(ROUND + 6)]
            values = [value for valid, value in answered if valid]
            assert len(values) == 1
            assert values[0] in (0, count)

    async def fresh(host, rng):
        await host.cycle(clear=1)
        await body(host, rng)

    bench_of(preset("tiny"), fresh)


def test_nothing_counts_when_disabled():
    async def body(host, rng):
        await host.cycle(clear=1)
        for _ in range(100):
            await host.cycle(1.0, enable=0)
        assert not host.counts
        await host.check_all()

    bench_of(preset("tiny"), body)


def test_latency():
    async def body(host, rng):
        latencies = [(await host.read(rng.randrange(ROUND)))[1] for _ in range(300)]
        assert min(latencies) == 4
        assert max(latencies) == 4 + ROUND - 1

    bench_of(preset("tiny"), body)


def test_memory_survives_many_rounds():
    async def body(host, rng):
        await host.cycle(clear=1)
        for _ in range(9000):
            await host.cycle(1.0)
        await host.check_all()
        assert host.counts["saturations"] > 1 << 20

    bench_of(LARGEST, body)


def test_events_are_those_of_the_map():
    layout = event_layout(preset("tiny"))
    assert ["cycles", *(name for name, _ in layout)] == NAMES


@pytest.mark.parametrize("name", ["tiny", "ulx3s"])
def test_verilog(name):
    assert "module" in verilog.convert(CounterBank(preset(name)), emit_src=False)
