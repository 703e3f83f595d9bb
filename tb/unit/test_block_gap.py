"""BlockGap: last beats, and values that overtake, wait exactly as long as they must."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.config import ArrayConfig, Config, VectorConfig
from systolith_hw.vector.block_gap import BlockGap
from systolith_hw.vector.block_normalizer import BlockNormalizer


@pytest.mark.parametrize("lanes, heads, most", [(8, True, 16), (1, False, 8), (8, False, 1)])
@pytest.mark.parametrize("pauses", [0, 0.4])
def test_shorter_blocks_wait(lanes, heads, most, pauses):
    config = Config(array=ArrayConfig(rows=8, columns=8), vector=VectorConfig(lanes=lanes))
    rng = np.random.default_rng(most)
    lengths = [int(n) for n in rng.choice([1, 2, most, rng.integers(1, most + 1)], 200)]
    lengths = [min(n, most) for n in lengths]
    dut = BlockGap(config, heads=heads)
    assert dut.beats == most

    async def bench(ctx):
        cycle = free = waits = 0
        played = -1
        for length in lengths:
            counts = rng.random() < 0.7
            ctx.set(dut.counts, counts)
            for index in range(length):
                last = index == length - 1
                taken = False
                while not taken:
                    ctx.set(dut.last, last)
                    may = not last or cycle >= free
                    assert ctx.get(dut.clear) == may
                    assert ctx.get(dut.played) == (cycle > played)
                    taken = may and rng.random() >= pauses
                    waits += not may
                    ctx.set(dut.taken, taken)
                    await ctx.tick()
                    cycle += 1
            free = cycle - 1 + length
            if counts:
                played = cycle - 1 + BlockNormalizer.latency + length - 1
        assert pauses or waits == sum(
            max(0, before - after) for before, after in zip(lengths, lengths[1:], strict=False)
        )

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
