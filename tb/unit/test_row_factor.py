"""RowFactor and its parts against the golden models."""

import math

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.vector.digit_recurrence import DigitRecurrence
from systolith_hw.vector.moving_word import MovingWord
from systolith_hw.vector.row_factor import RowFactor
from systolith_hw.vector.row_shapes import longest_row, total_bits
from systolith_hw.vector.serial_multiplier import SerialMultiplier
from systolith_sim.vector.row import (
    Factor,
    Moments,
    invert,
    normal_factor,
    reciprocal_factor,
    row_sums,
)

from .row_bench import row_config


def inverse(length):
    """Return 1 / length, its bit 15 set."""
    shift = 15 + (length - 1).bit_length()
    scale = round((1 << shift) / length)
    return Factor(scale >> 1, shift - 1) if scale == 1 << 16 else Factor(scale, shift)


def golden(row):
    """Return the mean and the factor of one row's payload."""
    if not row["normal"]:
        return 0, reciprocal_factor(row["total"])
    return normal_factor(
        Moments(row["total"], row["squares"]), Factor(**row["inverse"]), base=row["base"],
        epsilon=row["epsilon"], centre=bool(row["centre"]),
    )  # fmt: skip


def power_row(total):
    return {
        "normal": 0, "total": int(total), "squares": 0, "inverse": {"scale": 0, "shift": 0},
        "base": 0, "epsilon": 0, "centre": 0,
    }  # fmt: skip


def normal_row(rng, config, sums, length, base):
    factor = inverse(length)
    return {
        "normal": 1, "total": sums.total, "squares": sums.squares, "base": base,
        "inverse": {"scale": factor.scale, "shift": factor.shift},
        "epsilon": int(rng.choice([1, 2, 3, 0xFFFF, 42950 // 2])),
        "centre": int(rng.random() < 0.8),
    }  # fmt: skip


def words_row(rng, config):
    """Return a row of some magnitude and mean, as a normalizer would have it."""
    array, longest = config.array, longest_row(config)
    length = int(rng.choice([1, 2, 3, longest, rng.integers(1, longest + 1)]))
    base = int(rng.choice([0, 0, rng.integers(0, 32)]))
    limit = (1 << array.mantissa_bits - 1) - 1
    top = min(array.window, max(0, 32 - array.mantissa_bits - base))
    exponents = rng.integers(0, top + 1) - rng.integers(0, 5, length)
    exponents = np.clip(exponents, 0, None)
    mean = rng.integers(-limit, limit + 1)
    spread = rng.choice([0, 1, limit // 8 + 1, limit])
    mantissas = mean + rng.integers(-spread, spread + 1, length)
    if base + array.mantissa_bits > 32:
        limit = max((1 << 31 - base) - 1, 1)
    mantissas = np.clip(mantissas, -limit, limit)[:, None]
    return normal_row(rng, config, row_sums([mantissas], [exponents])[0], length, base)


def corner_rows(rng, config):
    """Return the largest and the smallest sums, and what makes each bit of the word a one."""
    longest = longest_row(config)
    rows = []
    array = config.array
    limit = (1 << array.mantissa_bits - 1) - 1
    for length in (1, 2, longest // 3 + 1, longest):
        for exponent in {0, min(array.window, 32 - array.mantissa_bits)}:
            for m in (0, 1, -1, limit, -limit):
                value = m << exponent
                for total in (value * length, value * (length % 2)):  # all alike, or in pairs
                    sums = Moments(total, value * value * length)
                    rows.append(normal_row(rng, config, sums, length, 0))
    if (limit << array.window) >= 1 << 31:
        rows.append(normal_row(rng, config, Moments(-longest << 31, longest << 62), longest, 0))
        rows.append(normal_row(rng, config, Moments(longest << 31, longest << 62), longest, 0))
        # Half an LSB below the largest mean: a tie, which goes to 2**31.
        for total in (65537 << 15, -65537 << 15):
            rows.append(normal_row(rng, config, Moments(total, 1 << 63), 2, 0))
            rows[-1]["inverse"] = {"scale": 0xFFFF, "shift": 16}
    for row in rows[-4:]:
        row["centre"] = 1
    ends = [1 << 15, (1 << total_bits(config)) - 1, longest * 0xFFFF]
    ends += [(1 << bits) + step for bits in range(16, total_bits(config)) for step in (-1, 0, 1)]
    return rows + [power_row(total) for total in ends]


def some_rows(rng, config, count):
    rows = corner_rows(rng, config)
    for _ in range(count):
        if rng.random() < 0.4:
            rows.append(power_row(1 << 15 | int(2 ** rng.uniform(15, total_bits(config)))))
            rows[-1]["total"] = min(rows[-1]["total"], (1 << total_bits(config)) - 1)
        else:
            rows.append(words_row(rng, config))
    return rows


def run(dut, rows, rng, stalled_input, stalled_output):
    """Send rows and take results with pauses; return what came, and in which cycle."""
    got: list[tuple] = []
    when: list[int] = []
    now = [0]

    async def count(ctx):
        async for _ in ctx.tick():
            now[0] += 1

    async def source(ctx):
        for row in rows:
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.i.payload, power_row(0))
            for _ in range(int(rng.choice([0, 1, 5])) * stalled_input):
                await ctx.tick()
            ctx.set(dut.i.payload, row)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        for _ in rows:
            cycles = 0
            while not ctx.get(dut.o.valid):  # offers before ready
                ctx.set(dut.o.ready, int(rng.integers(2)) if stalled_output else 1)
                await ctx.tick()
                cycles += 1
                assert cycles < 120
            when.append(now[0])
            ctx.set(dut.o.ready, 0)
            first = ctx.get(dut.o.payload)
            for _ in range(int(rng.choice([0, 1, 5])) * stalled_output):
                await ctx.tick()
                assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload) == first  # and holds
            ctx.set(dut.o.ready, 1)
            got.append((first.mean, Factor(first.factor.scale, first.factor.shift)))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(count, background=True)
    sim.add_testbench(source)
    sim.add_testbench(sink)
    sim.run()
    return got, when


def check_cycles(rows, when, steps):
    """Assert how long rows take of which each waits for the one before."""
    quotient, root = 8 - 8 // steps, 16 - 16 // steps  # cycles fewer
    product = 6 - {1: 6, 2: 3, 4: 2, 8: 1}[steps]
    cycles = np.diff(when)
    normal = np.array([row["normal"] for row in rows[1:]], bool)
    centred = np.array([row["centre"] for row in rows[1:]], bool)
    assert set(cycles[~normal]) == {14 - quotient}
    fewer = quotient + root + 3 * product
    assert 65 < cycles[normal & centred].mean() + fewer < 84
    assert cycles[normal & centred].max() <= RowFactor.longest - fewer
    assert cycles[normal & ~centred].max() <= 58 - quotient - root - product


@pytest.mark.parametrize("stalled_output", [False, True])
@pytest.mark.parametrize("stalled_input", [False, True])
@pytest.mark.parametrize("shape", [
    (4, 8, 24, 512, 1), (1, 8, 15, 256, 1), (2, 16, 24, 65535, 1), (4, 8, 24, 512, 2),
    (2, 8, 24, 512, 4), (4, 8, 24, 512, 8),
])  # fmt: skip
def test_matches_golden(shape, stalled_input, stalled_output, count=150, seed=0):
    lanes, mantissa_bits, window, wide_words, steps = shape
    config = row_config(lanes, mantissa_bits=mantissa_bits, window=window, wide_words=wide_words)
    config = config.replace(
        {"vector.rows": 8, "array.output_depth": 64, "vector.factor_steps": steps}
    )
    rng = np.random.default_rng(seed)
    rows = some_rows(rng, config, count)
    got, when = run(RowFactor(config), rows, rng, stalled_input, stalled_output)
    for row, result in zip(rows, got, strict=True):
        assert result == golden(row), row
    if not stalled_input and not stalled_output:
        check_cycles(rows, when, steps)


def start_and_wait(dut, operands, output, latency):
    """Start once for each set of operands; return the output after as many cycles."""
    results = []

    async def bench(ctx):
        for values in operands:
            for name, value in values.items():
                ctx.set(getattr(dut, name), value)
            ctx.set(dut.start, 1)
            for _ in range(latency(values) - 1):
                assert ctx.get(dut.done) == 0
                await ctx.tick()
                ctx.set(dut.start, 0)
                for name in values:
                    ctx.set(getattr(dut, name), 0)
            assert ctx.get(dut.done)
            await ctx.tick()
            results.append(ctx.get(getattr(dut, output)))
            await ctx.tick().repeat(1 + len(results) % 3)
            assert ctx.get(getattr(dut, output)) == results[-1]  # stays

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    return results


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_quotients_and_roots(steps):
    rng = np.random.default_rng(0)
    divisors = [1 << 17, (1 << 17) + 1, (1 << 18) - 1, *rng.integers(1 << 17, 1 << 18, 200)]
    radicands = [0, 1, 2, 3, 4, (1 << 32) - 1, 1 << 30, *(rng.integers(0, 1 << 16, 50) ** 2)]
    radicands += [int(rng.integers(1, 1 << 16)) ** 2 - 1 for _ in range(50)]
    radicands += rng.integers(0, 1 << 32, 100).tolist()
    operands = [{"divisor": int(d), "root": 0} for d in divisors]
    operands += [{"radicand": int(r), "root": 1} for r in radicands]
    operands = [operands[at] for at in rng.permutation(len(operands))]
    dut = DigitRecurrence(steps)
    assert (dut.latency, dut.root_latency) == (2 + 8 // steps, 1 + 16 // steps)
    results = start_and_wait(
        dut, operands, "result", lambda o: dut.root_latency if o["root"] else dut.latency
    )
    assert results == [
        math.isqrt(o["radicand"]) if o["root"] else invert(o["divisor"]) for o in operands
    ]


@pytest.mark.parametrize("bits", [3, 6, 9, 18])
def test_products(bits):
    rng = np.random.default_rng(0)
    ends = [0, 1, (1 << 18) - 1, 1 << 17]
    pairs = [(a, b) for a in ends for b in ends] + rng.integers(0, 1 << 18, (50, 2)).tolist()
    dut = SerialMultiplier(bits)
    assert dut.latency == 1 + 18 // bits
    operands = [{"a": a, "b": b} for a, b in pairs]
    results = start_and_wait(dut, operands, "product", lambda _: dut.latency)
    assert results == [a * b for a, b in pairs]


@pytest.mark.parametrize("bits", [64, 73, 78])
def test_word(bits):
    """Numbers of every length, and products at every distance."""
    rng = np.random.default_rng(bits)
    dut = MovingWord(bits)

    async def settle(ctx, action):
        ctx.set(getattr(dut, action), 1)
        await ctx.tick()
        ctx.set(getattr(dut, action), 0)
        cycles = 1
        while not ctx.get(dut.settles):
            await ctx.tick()
            cycles += 1
        await ctx.tick()
        return cycles

    async def bench(ctx):
        for length in range(bits + 1):
            number = int.from_bytes(rng.bytes(10)) % (1 << length) | (1 << length >> 1)
            even = int(rng.integers(2))
            ctx.set(dut.number, number)
            ctx.set(dut.even, even)
            cycles = await settle(ctx, "load")
            moved = ctx.get(dut.moved)
            assert cycles == 2 + max(moved // 16 - 1, 0)
            if number:
                assert moved == (bits - length & ~1 if even else bits - length)
            assert ctx.get(dut.significand) >> 15 == number << moved >> bits - 35
        ctx.set(dut.even, 0)
        for distance in range(-128, 65):
            product = int(rng.integers(0, 1 << 34)) if distance % 5 else (1 << 34) - 1
            ctx.set(dut.product, product)
            ctx.set(dut.distance, distance)
            ctx.set(dut.aligns, 1)
            await ctx.tick()
            ctx.set(dut.aligns, 0)
            cycles = await settle(ctx, "place")
            assert cycles == 1 + max(distance // 16 - 1, 0)
            wanted = product << distance if distance >= 0 else 0
            assert ctx.get(dut.integer) == wanted >> 35
            assert ctx.get(dut.below) == wanted % (1 << 35)

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
