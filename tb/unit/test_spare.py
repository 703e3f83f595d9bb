"""Spare against a queue in Python."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.stream.spare import Spare


@pytest.mark.parametrize("p_valid, p_ready", [(1.0, 1.0), (0.4, 1.0), (1.0, 0.3), (0.6, 0.6)])
def test_keeps_order(p_valid, p_ready):
    rng = np.random.default_rng(0)
    dut = Spare(12)
    words = rng.integers(0, 1 << 12, 150).tolist()
    accepted: list[int] = []
    taken: list[int] = []

    async def source(ctx):
        for word in words:
            while rng.random() >= p_valid:
                await ctx.tick()
            ctx.set(dut.i.payload, word)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def bench(ctx):
        held = None
        for cycle in range(4000):
            # `i.ready` does not depend on `o.ready`: it is the same whichever that is.
            ready = ctx.get(dut.i.ready)
            ctx.set(dut.o.ready, rng.random() < p_ready)
            assert ctx.get(dut.i.ready) == ready
            *_, i_valid, i_ready, o_valid, o_ready, payload = await ctx.tick().sample(
                dut.i.valid, dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload)
            assert i_ready == (len(accepted) == len(taken)), "not exactly one spare place"
            assert held is None or (o_valid and payload == held), "an offer was taken back"
            held = payload if o_valid and not o_ready else None
            accepted.extend([cycle] * (i_valid & i_ready))
            if o_valid and o_ready:
                assert payload == words[len(taken)]
                taken.append(cycle)
            if len(taken) == len(words):
                return
        raise AssertionError(f"{len(taken)} of {len(words)} words")

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(source)
    sim.add_testbench(bench)
    sim.run()
    if p_ready == 1:
        assert taken == accepted  # no latency
    if p_valid == p_ready == 1:
        assert taken[-1] - taken[0] == len(words) - 1
