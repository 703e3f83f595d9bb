"""BestChannel: the first of the largest values, over groups and instructions, cycle by cycle."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.vector.best_channel import BestChannel

from .row_bench import row_config

FIXED_MIN, FIXED_MAX = -(1 << 31), (1 << 31) - 1


def some_instructions(rng, lanes, count):
    """Return instructions of groups of beats; values are often equal, or the smallest there is."""
    instructions = []
    for number in range(count):
        groups = []
        for _ in range(rng.integers(1, 5)):
            beats = rng.integers(FIXED_MIN, FIXED_MAX + 1, (rng.integers(1, 5), lanes))
            beats >>= rng.choice([0, 20, 29])
            ends = rng.choice([FIXED_MIN, FIXED_MAX, 0, -1], beats.shape)
            beats = np.where(rng.random(beats.shape) < 0.2, ends, beats)
            if rng.random() < 0.2:
                beats[:] = FIXED_MIN
            groups.append(beats)
        missing = int(rng.integers(0, lanes * len(groups[-1]) + 1)) * int(rng.integers(2))
        begin = {
            "valid": 1, "anew": int(number == 0 or rng.random() < 0.4),
            "channel": int(rng.choice([0, 65530, rng.integers(1 << 16)])),
        }  # fmt: skip
        instructions.append((begin, groups, missing))
    return instructions


def beats_of(instruction, lanes):
    """Yield values, how many of them are there, and whether a group ends."""
    _, groups, missing = instruction
    for number, group in enumerate(groups):
        for place, beat in enumerate(group):
            kept = lanes
            if number == len(groups) - 1:
                kept = int(np.clip(len(group) * lanes - missing - place * lanes, 0, lanes))
            yield beat, kept, place == len(group) - 1


@pytest.mark.parametrize("stalls", [False, True])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_best(lanes, stalls, count=60):
    rng = np.random.default_rng([lanes, stalls])
    instructions = some_instructions(rng, lanes, count)
    dut = BestChannel(row_config(lanes))
    assert dut.latency == {1: 4, 2: 6, 4: 8, 8: 10}[lanes]

    async def bench(ctx):
        best, number, cycle = FIXED_MIN, 0, 0
        # The best after each beat, and groups that have ended, by the cycle in which it is known.
        known: dict[int, tuple[int, int]] = {}
        seen, ended, ends, taken = 0, 0, 0, 0

        async def step(comes):
            nonlocal cycle, seen, ended, taken
            ready = comes or rng.random() < (0.3 if stalls else 1)
            ctx.set(dut.i.valid, comes)
            ctx.set(dut.o.ready, ready)
            seen, ended = known.pop(cycle, (seen, ended))
            assert ctx.get(dut.o.valid) == (ended > taken)
            if ctx.get(dut.o.valid):
                assert ctx.get(dut.o.payload) == seen
                taken += ready
            await ctx.tick()
            cycle += 1

        for instruction in instructions:
            begin, channel = instruction[0], instruction[0]["channel"]
            while not ctx.get(dut.empty):
                await step(False)
            assert taken == ends
            if begin["anew"]:
                best, number = FIXED_MIN, channel
            known[cycle + 1] = number, ends
            ctx.set(dut.begin, begin)
            await step(False)
            ctx.set(dut.begin.valid, 0)
            for beat, kept, last in beats_of(instruction, lanes):
                while stalls and rng.random() < 0.3:
                    await step(False)
                ctx.set(dut.i.payload, {
                    "values": beat.tolist(), "keep": (1 << kept) - 1, "last": last
                })  # fmt: skip
                for lane, value in enumerate(beat[:kept]):
                    if value > best:
                        best, number = value, channel + lane & 0xFFFF
                channel, ends = channel + lanes, ends + last
                known[cycle + dut.latency] = number, ends
                await step(True)
                assert not ctx.get(dut.empty) or not last
        while not ctx.get(dut.empty):
            await step(False)
            assert cycle < 20_000
        assert taken == ends

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
