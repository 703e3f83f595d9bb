"""TakeStage: every count that a unit gets has been taken from the file, once and in order."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.sequencer.take import TakeStage

DEADLINE = 4000
LATENCY = 2


def run(ids, p_valid, p_ready, seed=0):
    """Ask for ``ids``; return what the file gave and the cycles of both handshakes."""
    dut = TakeStage()
    rng = np.random.default_rng(seed)
    given, got, done = [], [], []
    cycle = 0

    async def unit(ctx):
        for number in ids:
            while rng.random() >= p_valid:
                await ctx.tick()
            ctx.set(dut.unit.id, number)
            ctx.set(dut.unit.valid, 1)
            while not ctx.get(dut.unit.ready):
                await ctx.tick()
            got.append(cycle)
            await ctx.tick()
            ctx.set(dut.unit.valid, 0)
        done.append(True)

    async def file(ctx):
        while True:
            ready = rng.random() < p_ready
            ctx.set(dut.file.ready, ready)
            now = cycle
            *_, valid, number = await ctx.tick().sample(dut.file.valid, dut.file.id)
            if valid and ready:
                given.append((now, number))

    async def watch(ctx):
        nonlocal cycle
        while not done:
            await ctx.tick()
            cycle += 1
            assert cycle < DEADLINE, f"{len(got)} of {len(ids)} taken"

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(watch)  # first, so that all see the same cycle
    sim.add_testbench(unit)
    sim.add_testbench(file, background=True)
    sim.run()
    return given, got


@pytest.mark.parametrize("p_valid, p_ready", [(1, 1), (0.4, 1), (1, 0.3), (0.5, 0.5)])
def test_each_once_and_in_order(p_valid, p_ready):
    ids = np.random.default_rng(1).integers(0, 16, 200).tolist()
    given, got = run(ids, p_valid, p_ready)
    assert [number for _, number in given] == ids
    assert len(got) == len(ids)
    assert all(taken < seen for (taken, _), seen in zip(given, got, strict=True))


def test_latency_and_throughput():
    given, got = run([3] * 20, 1, 1)
    assert got[0] == LATENCY
    assert set(np.diff(got)) == {LATENCY + 1}
