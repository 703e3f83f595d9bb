"""BeatAccumulator and ShortAccumulator against the golden model."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.array.beats import BeatAccumulator
from systolith_hw.array.short_accumulator import ShortAccumulator
from systolith_sim.array.accumulator import accumulate

from .array_bench import small_config


@pytest.mark.parametrize("kind", [BeatAccumulator, ShortAccumulator])
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_beats_follow_one_another(lanes, kind):
    config = small_config(4, 4, lanes=lanes, max_k=32)
    dut = kind(config)
    rng = np.random.default_rng(lanes)
    beats, columns = config.beats_per_result, config.array.columns
    limit = 1 << config.array.psum_bits - 2
    lasts: list[int] = []
    expected: list[list[int]] = []
    cycles: list[int] = []
    sums: list[list[int]] = []

    async def bench(ctx):
        steps: list[tuple] = []
        since = beats
        for cycle in range(600):
            since += 1
            valid = bool(rng.random() < 0.8)
            last = bool(rng.random() < 0.4) and since >= beats or len(steps) == 7
            step = rng.integers(-limit, limit, columns), int(rng.integers(0, 7))
            ctx.set(dut.valid, valid)
            ctx.set(dut.last, last)
            ctx.set(dut.sums, step[0].tolist())
            ctx.set(dut.exponent, step[1])
            if valid:
                steps.append(step)
            if valid and last:
                identity = np.broadcast_to(np.eye(columns, dtype=int), (len(steps), 4, 4))
                golden = accumulate([step[0] for step in steps], [step[1] for step in steps],
                                    identity)  # fmt: skip
                expected.extend(golden.reshape(beats, lanes).tolist())
                lasts.append(cycle)
                steps, since = [], 0
            *_, done, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if done:
                sums.append([payload[lane] for lane in range(lanes)])
                cycles.append(cycle)

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    offered = [last + dut.latency + beat for last in lasts for beat in range(beats)]
    count = len(cycles)
    assert count > 100
    assert cycles == offered[:count]
    assert sums == expected[:count]
