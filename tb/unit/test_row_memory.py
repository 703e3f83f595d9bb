"""RowMemory and RowRecords against lists."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.config import ArrayConfig, Config, VectorConfig
from systolith_hw.vector.row_memory import RowMemory
from systolith_hw.vector.row_records import RowRecords


def simulate(dut, bench):
    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()


def some_factor(rng):
    return {"scale": int(rng.integers(1 << 16)), "shift": int(rng.integers(64))}


def plain(factor):
    return {"scale": factor.scale, "shift": factor.shift}


@pytest.mark.parametrize("rows", [1, 2, 64, 256])
def test_row_memory(rows):
    rng = np.random.default_rng(rows)
    dut = RowMemory(Config(array=ArrayConfig(), vector=VectorConfig(rows=rows)))
    assert dut.latency == 1
    references, factors = [0] * rows, [{"scale": 0, "shift": 0}] * rows

    async def bench(ctx):
        for _ in range(1500):
            written, read, other, wanted = (int(row) for row in rng.integers(rows, size=4))
            ctx.set(dut.reference_row, read)
            ctx.set(dut.factor_row, wanted)
            expected = references[read], factors[wanted]
            for port, row in ((dut.references, written), (dut.factors, other)):
                valid = bool(rng.integers(2))
                ctx.set(port.valid, valid)
                reference, factor = int(rng.integers(-(1 << 15), 1 << 15)), some_factor(rng)
                if port is dut.references:
                    ctx.set(port.payload, {"row": row, "reference": reference})
                    if valid:
                        references[row] = reference
                else:
                    ctx.set(port.payload, {"row": row, "factor": factor})
                    if valid:
                        factors[row] = factor
            await ctx.tick()
            # What is written in the same cycle is seen from the next one on.
            assert (ctx.get(dut.reference), plain(ctx.get(dut.factor))) == expected

    simulate(dut, bench)


def test_row_records():
    rng = np.random.default_rng(1)
    dut = RowRecords()
    assert dut.latency == 1
    records = [{"mean": 0, "factor": {"scale": 0, "shift": 0}} for _ in range(2)]
    turn = 0

    async def bench(ctx):
        nonlocal turn
        for _ in range(300):
            first, then = (int(record) for record in rng.integers(2, size=2))
            ctx.set(dut.mean_record, first)
            ctx.set(dut.factor_record, then)
            expected = records[first]["mean"], records[then]["factor"]
            record = {"mean": int(rng.integers(-(1 << 31), 1 << 31)), "factor": some_factor(rng)}
            valid = bool(rng.integers(2))
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.payload, record)
            if valid:
                records[turn] = record
                turn ^= 1
            await ctx.tick()
            assert (ctx.get(dut.mean), plain(ctx.get(dut.factor))) == expected

    simulate(dut, bench)
