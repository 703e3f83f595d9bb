"""Accumulator against the golden model."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.array.accumulator import Accumulator
from systolith_sim.array.accumulator import accumulate

from .array_bench import small_config


def run(config, results, *, rng, p_valid=1.0):
    """Feed ``results`` (lists of (sums, exponent)); return what came out, cycles of both."""
    dut = Accumulator(config)
    columns = config.array.columns
    outputs, lasts, dones = [], [], []

    async def bench(ctx):
        words = [
            (sums, exponent, index == len(steps) - 1)
            for steps in results
            for index, (sums, exponent) in enumerate(steps)
        ]
        for cycle in range(40 * len(words) + 10):
            valid = bool(words) and rng.random() < p_valid
            sums, exponent, last = words.pop(0) if valid else (
                rng.integers(-99, 99, columns), 1, rng.integers(0, 2))  # fmt: skip
            ctx.set(dut.valid, valid)
            ctx.set(dut.last, int(last))
            ctx.set(dut.exponent, int(exponent))
            ctx.set(dut.sums, [int(value) for value in sums])
            if valid and last:
                lasts.append(cycle)
            *_, done, result = await ctx.tick().sample(dut.done, dut.result)
            if done:
                dones.append(cycle)
                outputs.append([result[column] for column in range(columns)])
            if len(outputs) == len(results):
                return
        raise AssertionError(f"{len(outputs)} of {len(results)} results")

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    return outputs, lasts, dones


@pytest.mark.parametrize("p_valid", [1.0, 0.5])
@pytest.mark.parametrize("window", [1, 2, 3, 4, 11, 16, 24])
@pytest.mark.parametrize("columns", [2, 4])
def test_random(columns, window, p_valid):
    check(small_config(columns, columns, window=window, max_k=16), p_valid)


def check(config, p_valid):
    """Accumulate random sums."""
    columns, window = config.array.columns, config.array.window
    rng = np.random.default_rng(window)
    low, high = -(1 << config.array.psum_bits - 2), (1 << config.array.psum_bits - 2)
    results = []
    for length in [1, 1, 1, 8, 1, 3, *rng.integers(1, 9, 20)]:
        sums = rng.integers(low, high, (length, columns))
        sums[rng.random(length) < 0.3] = rng.choice([low, high])
        exponents = np.where(rng.random(length) < 0.3, window, rng.integers(0, window + 1, length))
        results.append(list(zip(sums, exponents, strict=True)))
    outputs, lasts, dones = run(config, results, rng=rng, p_valid=p_valid)
    for output, steps in zip(outputs, results, strict=True):
        # A sum times the identity: what accumulate() adds up is the sums themselves.
        identity = np.broadcast_to(np.eye(columns, dtype=int), (len(steps), columns, columns))
        golden = accumulate([step[0] for step in steps], [step[1] for step in steps], identity)
        assert output == golden.tolist()
    assert {done - last for done, last in zip(dones, lasts, strict=True)} == {Accumulator.latency}
