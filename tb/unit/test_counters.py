"""CounterBank against additions."""

import random
from collections import Counter as Tally

import pytest
from amaranth import ResetInserter, Signal
from amaranth.back import verilog

from systolith_hw.config import ArrayConfig, Config, VectorConfig
from systolith_hw.control.counters import CounterBank, scan
from systolith_hw.control.tally import event_layout
from systolith_hw.presets import preset
from systolith_hw.registers import COUNTERS, KEPT, OFFSETS, counter_offsets

from .axi_model import simulate

TINY = preset("tiny")
LARGEST = Config(array=ArrayConfig(rows=64, columns=64, output_depth=80),
                 vector=VectorConfig(lanes=64, rows=2))  # fmt: skip
BOTH = pytest.mark.parametrize("config", [TINY, LARGEST], ids=["tiny", "largest"])


class Host:
    """Drives a CounterBank cycle by cycle and counts along."""

    def __init__(self, ctx, dut, rng):
        self.ctx, self.dut, self.rng = ctx, dut, rng
        self.counts: Tally[str] = Tally()
        self.was_cleared = 0
        self.most = (1 << len(dut.events.saturations)) - 1
        self.events = [name for name, _ in event_layout(dut.config)]
        self.offsets = counter_offsets(dut.config)
        self.names = list(self.offsets)
        self.period = 2 * len(scan(dut.config))
        ctx.set(dut.stored, 1)

    async def cycle(self, p=0.0, *, enable=1, clear=0, **strobes):
        """Pass one cycle in which every event happens with probability ``p``."""
        ctx, dut = self.ctx, self.dut
        events = {name: int(self.rng.random() < p) for name in self.events}
        if events["saturations"] and p < 1:
            events["saturations"] = self.rng.randint(1, self.most)
        elif p == 1:
            events["saturations"] = self.most
        ctx.set(dut.events, events)
        ctx.set(dut.enable, enable)
        ctx.set(dut.clear, clear)
        for name, value in strobes.items():
            ctx.set(getattr(dut, name), value)
        sample = await ctx.tick().sample(dut.valid, dut.data)
        if clear:
            self.counts.clear()
        elif enable:
            self.counts.update(cycles=1, **events)
            assert not self.was_cleared, "a run begins a cycle after the clear"
        self.was_cleared = clear
        return sample[-2:]

    async def stop(self):
        """End the run, with one cycle in which nothing may be cleared."""
        await self.cycle(enable=0)

    async def clear(self):
        await self.cycle(enable=0, clear=1)
        await self.cycle(enable=0)

    async def read(self, name, p=0.0, *, enable=0):
        """Return the value of a counter or register, and how many cycles it took."""
        offset = (OFFSETS | self.offsets)[name]
        await self.cycle(p, enable=enable, read=1, number=offset // 4)
        for latency in range(1, 300):
            valid, value = await self.cycle(p, enable=enable, read=0)
            if valid:
                return value, latency
        raise AssertionError("no answer")

    async def check_all(self):
        self.rng.shuffle(self.names)
        for name in self.names:
            value, _ = await self.read(name)
            assert value == self.counts[name.lower()], name


def bench_of(config, body, *, seed=0, deadline=90_000):
    rng = random.Random(seed)
    dut = CounterBank(config)

    async def bench(ctx):
        await body(Host(ctx, dut, rng), rng)

    simulate(dut, bench, deadline=deadline)


@BOTH
@pytest.mark.parametrize("p", [0.03, 0.5, 1.0])
def test_exact_after_stop(config, p):
    async def body(host, rng):
        await host.clear()
        for _ in range(3):
            for _ in range(rng.randrange(200, 700)):
                await host.cycle(p)
            await host.check_all()

    bench_of(config, body)


@BOTH
def test_exact_however_soon_after_stop(config):
    """The first read follows the last event at once."""

    async def body(host, rng):
        for trial in range(60):
            await host.clear()
            for _ in range(trial):
                await host.cycle(1.0)
            name = rng.choice([host.names[trial % len(host.names)], "SATURATIONS"])
            value, _ = await host.read(name)
            assert value == host.counts[name.lower()], name

    bench_of(config, body)


@BOTH
@pytest.mark.parametrize("p", [0.5, 1.0])
def test_reads_while_counting(config, p):
    """What is read was the count at some cycle of the read."""

    async def body(host, rng):
        for trial in range(100):
            name = host.names[trial % len(host.names)]
            before = host.counts[name.lower()]
            value, _ = await host.read(name, p, enable=1)
            assert before <= value <= host.counts[name.lower()]
        await host.check_all()

    bench_of(config, body)


@BOTH
def test_clear_at_any_moment(config):
    async def body(host, rng):
        for _ in range(80):
            for _ in range(rng.randrange(2 * host.period)):
                await host.cycle(1.0)
            await host.stop()
            for _ in range(rng.randrange(1, 5)):
                await host.cycle(enable=0, clear=1)
            await host.cycle(enable=0)
            name = rng.choice(host.names)
            before = host.counts[name.lower()]
            value, _ = await host.read(name, 1.0, enable=1)
            assert before <= value <= host.counts[name.lower()]
        await host.check_all()

    bench_of(config, body)


def test_reset_leaves_registers_and_no_count():
    """After ``rst`` counters read zero, and what is ``KEPT`` as before."""
    dut, reset = CounterBank(TINY), Signal()

    async def bench(ctx):
        host = Host(ctx, dut, random.Random(0))
        await host.clear()
        for name in KEPT:
            await host.cycle(enable=0, write=1, write_data=0x1234_5678, number=OFFSETS[name] // 4)
            while not (await host.cycle(enable=0, write=0))[0]:
                pass
        for _ in range(200):
            await host.cycle(1.0)
        await host.stop()
        await host.check_all()
        ctx.set(reset, 1)
        await host.cycle(enable=0)
        ctx.set(reset, 0)
        host.counts.clear()
        assert [(await host.read(name))[0] for name in KEPT] == [0x1234_5678] * len(KEPT)
        await host.check_all()

    simulate(ResetInserter(reset)(dut), bench, deadline=90_000)


@pytest.mark.parametrize("name", ["CYCLES", "FLUSHES", "LENGTH"])
@pytest.mark.parametrize("write", [False, True])
def test_access_during_clear_is_answered(name, write):
    """An access goes on after a clear, as if nothing had been."""

    async def body(host, rng):
        ctx, dut = host.ctx, host.dut
        for delay in range(2 * host.period + 8):
            for _ in range(20):
                await host.cycle(1.0)
            count = host.counts[name.lower()]
            value = rng.getrandbits(32)
            command = {"write": 1, "write_data": value} if write else {"read": 1}
            number = (OFFSETS | host.offsets)[name] // 4
            await host.cycle(enable=0, number=number, **command)
            ctx.set(dut.read, 0)
            ctx.set(dut.write, 0)
            answered = [await host.cycle(enable=0) for _ in range(delay)]
            answered += [await host.cycle(enable=0, clear=1) for _ in range(rng.choice([1, 8]))]
            answered += [await host.cycle(enable=0) for _ in range(2 * host.period + 6)]
            values = [value for valid, value in answered if valid]
            assert len(values) == 1
            if not write:
                assert values[0] in (0, count)
            elif name == "LENGTH":
                assert (await host.read(name))[0] == value

    bench_of(TINY, body)


def test_nothing_counts_when_disabled():
    async def body(host, rng):
        await host.clear()
        for _ in range(100):
            await host.cycle(1.0, enable=0)
        assert not host.counts
        await host.check_all()

    bench_of(TINY, body)


@BOTH
def test_latency(config):
    async def body(host, rng):
        await host.clear()
        for _ in range(host.period):
            await host.cycle()
        latencies = [(await host.read(rng.choice(host.names)))[1] for _ in range(300)]
        assert max(latencies) <= host.period + 5

    bench_of(config, body)


def test_upper_half():
    async def body(host, rng):
        await host.clear()
        for _ in range(9000):
            await host.cycle(1.0)
        await host.check_all()
        assert host.counts["saturations"] > 1 << 20

    bench_of(LARGEST, body)


def test_events_are_those_of_the_map():
    names = [counter.name.lower() for counter in COUNTERS]
    assert ["cycles", *(name for name, _ in event_layout(LARGEST))] == names
    assert ["cycles", *(name for name, _ in event_layout(TINY))] == names[:-2]


@pytest.mark.parametrize("name", ["tiny", "ulx3s"])
def test_verilog(name):
    assert "module" in verilog.convert(CounterBank(preset(name)), emit_src=False)
