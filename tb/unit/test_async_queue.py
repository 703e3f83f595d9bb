"""A queue between two clocks: order, and what its two levels promise."""

import random
from collections import deque

import pytest
from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from systolith_fpga.memory.async_queue import AsyncQueue

WORDS = 120
AGO = 2
"""Cycles of its own side that a level may be late."""


def simulate(queue, periods, pauses, seed):
    """Send numbers through a queue; return in how many nanoseconds they came, and how many it held
    at most."""
    m = Module()
    m.domains += [ClockDomain("near"), ClockDomain("far")]
    m.submodules.queue = queue
    held: deque[int] = deque()
    cycles = fullest = due = 0
    rng = {name: random.Random(f"{seed} {name}") for name in ("near", "far")}

    async def write(ctx):
        nonlocal fullest
        filled = deque([0] * AGO, AGO)
        for number in range(WORDS):
            while rng["near"].random() < pauses[0]:
                await ctx.tick("near")
                filled.append(0)
            ctx.set(queue.i.valid, 1)
            ctx.set(queue.i.payload, number)
            took = False
            while not took:
                _, _, took, room = await ctx.tick("near").sample(queue.i.ready, queue.room)
                # Places that were filled so lately may still be counted as free.
                assert room - sum(filled) <= queue.depth - max(len(held) - 2, 0)
                filled.append(took)
            held.append(number)
            fullest = max(fullest, len(held))
            ctx.set(queue.i.valid, 0)

    async def read(ctx):
        nonlocal cycles, due
        taken = deque([0] * AGO, AGO)
        while due < WORDS:
            ready = rng["far"].random() >= pauses[1]
            ctx.set(queue.o.ready, ready)
            here = len(held)
            _, _, valid, word, level = await ctx.tick("far").sample(
                queue.o.valid, queue.o.payload, queue.level
            )
            cycles += 1
            assert level - sum(taken) <= here
            taken.append(valid and ready)
            if valid and ready:
                assert word == due == held.popleft()
                due += 1

    simulator = Simulator(m)
    for (name, process), period in zip({"near": write, "far": read}.items(), periods, strict=True):
        simulator.add_clock(period * 1e-9, domain=name, phase=rng[name].random() * period * 1e-9)
        simulator.add_testbench(process)
    simulator.run_until(2e-9 * 20 * WORDS * max(periods))
    assert due == WORDS, "the queue stands still"
    return cycles * periods[1], fullest


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("periods", [(12.5, 7.5), (7.5, 12.5)])
def test_words_stay_in_order(block, ahead, periods, seed):
    queue = AsyncQueue(16, 8, i_domain="near", o_domain="far", block=block, ahead=ahead)
    simulate(queue, periods, (0.4, 0.4), seed)


@pytest.mark.parametrize("periods", [(12.5, 7.5), (7.5, 12.5), (10, 10)])
def test_the_slower_side_never_waits(periods, seed):
    queue = AsyncQueue(16, 16, i_domain="near", o_domain="far", block=True)
    took, _ = simulate(queue, periods, (0, 0), seed)
    assert took <= (WORDS + 12) * max(periods)


def test_it_holds_its_depth(seed):
    """And one word at its output."""
    queue = AsyncQueue(16, 8, i_domain="near", o_domain="far")
    _, fullest = simulate(queue, (5, 10), (0, 0.95), seed)
    assert fullest in (9, 10)  # one may be on its way out


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("depth", [2, 12])
def test_depths_that_are_none(depth):
    with pytest.raises(ValueError, match=f"power of two of at least 4, not {depth}"):
        AsyncQueue(8, depth, i_domain="near", o_domain="far")
