"""Fifo against a queue in Python."""

import numpy as np
import pytest
from amaranth.lib import data
from amaranth.sim import Simulator

from systolith_hw.stream.fifo import Fifo

SHAPE = data.StructLayout({"a": 7, "b": 5})


def run(depth, words, *, rng, p_valid=1.0, p_ready=1.0, output_register=False):
    """Push ``words`` through a Fifo; return what came out, the cycle of each transfer in and out,
    the highest level and the latency that the Fifo declares."""
    dut = Fifo(SHAPE, depth, output_register=output_register)
    outputs: list[int] = []
    accepted: list[int] = []
    taken: list[int] = []
    levels: list[int] = []

    async def source(ctx):
        for word in words:
            while rng.random() >= p_valid:
                await ctx.tick()
            ctx.set(dut.i.payload.as_value(), word)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        while len(outputs) < len(words):
            ctx.set(dut.o.ready, rng.random() < p_ready)
            *_, valid, ready, payload = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload.as_value())
            if valid and ready:
                outputs.append(payload)

    async def watch(ctx):
        held = None
        refused = 0
        deadline = 40 * len(words) + 40
        for cycle in range(deadline):
            *_, i_valid, i_ready, o_valid, o_ready, payload, level, empty = await ctx.tick().sample(
                dut.i.valid, dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload.as_value(),
                dut.level, dut.empty)
            assert level == len(accepted) - len(taken)
            assert empty == (level == 0)
            assert not (i_ready and level == depth)
            refused = 0 if i_ready or level == depth else refused + 1
            assert refused < 3 + output_register, "there is room"
            assert held is None or (o_valid and payload == held), "an offer was taken back"
            held = payload if o_valid and not o_ready else None
            accepted.extend([cycle] * (i_valid & i_ready))
            taken.extend([cycle] * (o_valid & o_ready))
            levels.append(level)
        raise AssertionError(f"{len(outputs)} of {len(words)} words after {deadline} cycles")

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(source)
    sim.add_testbench(sink)
    sim.add_testbench(watch, background=True)
    sim.run()
    return outputs, accepted, taken, max(levels), dut.latency


@pytest.mark.parametrize("p_valid, p_ready", [(1.0, 1.0), (0.4, 1.0), (1.0, 0.3), (0.6, 0.6)])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 16])
@pytest.mark.parametrize("output_register", [False, True])
def test_keeps_order(output_register, depth, p_valid, p_ready):
    rng = np.random.default_rng(depth)
    words = rng.integers(0, 1 << 12, 120).tolist()
    outputs, _, _, level, _ = run(
        depth, words, rng=rng, p_valid=p_valid, p_ready=p_ready, output_register=output_register
    )
    assert outputs == words
    if p_ready < 0.5:
        assert level == depth


@pytest.mark.parametrize("depth, cycles", [(1, 2), (2, 3), (3, 1.5), (4, 1), (7, 1)])
def test_latency_and_throughput(depth, cycles):
    words = list(range(60))
    _, accepted, taken, _, latency = run(depth, words, rng=np.random.default_rng(0))
    assert taken[0] - accepted[0] == latency == (1 if depth == 1 else 2)
    assert (taken[-1] - taken[0]) / (len(words) - 1) == pytest.approx(cycles, abs=0.02)


@pytest.mark.parametrize(
    "depth, latency, cycles", [(1, 1, 2), (2, 2, 3), (3, 3, 3), (4, 3, 1.5), (7, 3, 1)]
)
def test_output_register(depth, latency, cycles):
    words = list(range(60))
    _, accepted, taken, _, declared = run(
        depth, words, rng=np.random.default_rng(0), output_register=True
    )
    assert taken[0] - accepted[0] == declared == latency
    assert (taken[-1] - taken[0]) / (len(words) - 1) == pytest.approx(cycles, abs=0.02)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_fills_up_without_a_consumer(depth):
    dut = Fifo(SHAPE, depth)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for word in range(depth + 4):
            ctx.set(dut.i.payload.as_value(), min(word, depth))
            await ctx.tick()
        assert ctx.get(dut.level) == depth
        assert not ctx.get(dut.i.ready)
        assert ctx.get(dut.o.valid)
        assert ctx.get(dut.o.payload.as_value()) == 0

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()


def test_style_reaches_the_memory():
    from amaranth.back import verilog

    for style in ("block", "distributed"):
        assert f'ram_style = "{style}"' in verilog.convert(Fifo(8, 5, style=style))
    assert "ram_style" not in verilog.convert(Fifo(8, 5))


def test_rejects_depth_zero():
    with pytest.raises(ValueError, match="depth must be at least 1, not 0"):
        Fifo(8, 0)
