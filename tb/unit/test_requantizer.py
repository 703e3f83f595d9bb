"""Requantizer and its two parts against their golden models."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.config import ArrayConfig, Config, VectorConfig
from systolith_hw.vector.requantizer import Requantizer
from systolith_hw.vector.rounding_shifter import RoundingShifter
from systolith_hw.vector.significand import Significand
from systolith_sim.vector.requantizer import normalize_significand, requantize, round_half_even

FIXED_MIN, FIXED_MAX = -(2**31), 2**31 - 1


def stream_through(dut, inputs, outputs, cycles):
    """Set ``inputs`` (signal, value per cycle) and return ``outputs`` in every cycle."""
    seen = []

    async def bench(ctx):
        for cycle in range(cycles):
            for signal, values in inputs:
                if 0 <= cycle < len(values):
                    ctx.set(signal, values[cycle])
            seen.append([ctx.get(output) for output in outputs])
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    return seen


def corners(bits):
    """Return every power of two of ``bits`` signed bits, and its neighbours."""
    powers = [1 << n for n in range(bits - 1)]
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    near = {sign * power + step for power in powers for sign in (1, -1) for step in (-1, 0, 1)}
    return sorted(x for x in near | {0, low, low + 1, high} if low <= x <= high)


@pytest.mark.parametrize("bits", [18, 19, 22, 33, 42, 52])
def test_significand(bits):
    rng = np.random.default_rng(bits)
    xs = [*corners(bits), *map(int, rng.integers(-(1 << bits - 1), 1 << bits - 1, 50))]
    dut = Significand(bits)
    seen = stream_through(dut, [(dut.x, xs)], [dut.m, dut.exponent], len(xs) + dut.latency)
    m, s = normalize_significand(xs)
    result = np.array(seen[dut.latency :])
    right = np.maximum(s, 0)  # a short integer is its own significand
    np.testing.assert_array_equal(result[:, 0], np.where(s < 0, xs, m))
    np.testing.assert_array_equal(result[:, 1], right)


@pytest.mark.parametrize("shape", [(34, 6, 32), (32, 5, 8), (32, 5, 16)])
def test_rounding_shifter(shape):
    value_bits, shift_bits, result_bits = shape
    rng = np.random.default_rng(result_bits)
    values = np.array([
        *rng.choice(corners(value_bits), 300),
        *rng.integers(-(1 << value_bits - 1), 1 << value_bits - 1, 100),
    ])  # fmt: skip
    shifts = rng.integers(0, 1 << shift_bits, len(values))
    # Values that end up around the limits of the result, halves included.
    edge = (1 << result_bits - 1) - 1
    for shift in range(1, min(value_bits - result_bits, 1 << shift_bits)):
        near = (edge << shift) + (1 << shift - 1) + np.arange(-2, 3)
        values = np.concatenate([values, near, -near])
        shifts = np.concatenate([shifts, np.full(10, shift)])
    infinite = (rng.random(len(values)) < 0.05) & (shifts < 4)
    dut = RoundingShifter(*shape)
    seen = stream_through(
        dut,
        [(dut.value, values.tolist()), (dut.shift, shifts.tolist()),
         (dut.infinite, infinite.astype(int).tolist())],
        [dut.floor, dut.up, dut.clipped, dut.inexact], len(values) + dut.latency,
    )  # fmt: skip
    floor, up, clipped, inexact = np.array(seen[dut.latency :]).T
    exact = round_half_even(values, shifts)
    exact = np.where(infinite, np.where(values < 0, -(1 << 40), 1 << 40), exact)
    wanted = np.clip(exact, -edge - 1, edge)
    np.testing.assert_array_equal(floor + up, wanted)
    below = ~infinite & (values >> shifts < -edge - 1)
    np.testing.assert_array_equal(clipped, (wanted != exact) | below)
    fits = ~infinite & (abs((values >> shifts) + 0.5) < edge + 1)
    np.testing.assert_array_equal(inexact[fits], (values & (1 << shifts) - 1 != 0)[fits])


def run_requantizer(config, x, scale, shift, bias, keep, latency=None):
    dut = Requantizer(config)
    assert latency in (None, dut.latency)
    factors = [
        [{"scale": a, "shift": b} for a, b in zip(*beat, strict=True)]
        for beat in zip(scale.tolist(), shift.tolist(), strict=True)
    ]
    masks = [sum(int(bit) << lane for lane, bit in enumerate(beat)) for beat in keep]

    def late(values, delay, nothing):
        return [nothing] * delay + list(values)

    seen = stream_through(
        dut,
        [
            (dut.x, x.tolist()),
            (dut.factors, late(factors, dut.factor_delay, factors[-1])),
            (dut.biases, late(bias.tolist(), dut.bias_delay, bias[-1].tolist())),
            (dut.keep, late(masks, dut.keep_delay, 0)),
        ],
        [dut.z, dut.saturated], len(x) + dut.latency,
    )  # fmt: skip
    lanes = config.vector.lanes
    z = [[beat[lane] for lane in range(lanes)] for beat, _ in seen[dut.latency :]]
    flags = [[flag >> lane & 1 for lane in range(lanes)] for _, flag in seen[dut.latency :]]
    return np.array(z), np.array(flags)


@pytest.mark.parametrize(
    "lanes, mantissa_bits, max_k, window", [(1, 8, 2, 1), (2, 8, 1024, 16), (4, 8, 4096, 24)]
)
def test_requantizer(lanes, mantissa_bits, max_k, window):
    config = Config(
        array=ArrayConfig(rows=2 if lanes == 1 else 4, columns=4, mantissa_bits=mantissa_bits,
                          max_k=max(max_k, lanes), window=window, output_depth=16),
        vector=VectorConfig(lanes=lanes),
    )  # fmt: skip
    bits = config.array.accumulator_bits
    rng = np.random.default_rng(lanes)
    shape = (400, lanes)
    x = rng.integers(-(1 << bits - 1), 1 << bits - 1, shape) >> rng.integers(0, bits, shape)
    some = rng.choice(corners(bits), shape)
    x = np.where(rng.random(shape) < 0.5, x, some)
    scale = rng.integers(2**15, 2**16, shape)
    scale[rng.random(shape) < 0.1] = 0
    scale[rng.random(shape) < 0.2] = 0xFFFF
    # Mostly shifts that bring the value near 32 bits, some anywhere.
    shift = np.clip(rng.integers(-8, 45, shape) + bits - 20, 0, 127)
    shift = np.where(rng.random(shape) < 0.2, rng.integers(0, 128, shape), shift)
    bias = rng.choice([0, 1, -1, FIXED_MIN, FIXED_MAX, 2**30, -(2**30), 77], shape)
    x[0], scale[0], shift[0], bias[0] = 65537, 0xFFFF, 1, -5
    x[1], scale[1], shift[1], bias[1] = -1, 0x8000, 0, 0
    keep = rng.random(shape) < 0.9
    z, saturated = run_requantizer(config, x, scale, shift, bias, keep)
    wanted, _ = requantize(x, scale, shift, bias)
    np.testing.assert_array_equal(z, np.where(keep, wanted, 0))
    for index in np.ndindex(shape):
        count = requantize(x[index], scale[index], shift[index], bias[index])[1]
        assert saturated[index] == (count and keep[index]), index


def test_latency():
    """A single value among zeros comes out 10 cycles later, and for one cycle."""
    config = Config(array=ArrayConfig(rows=2, columns=2, output_depth=16),
                    vector=VectorConfig(lanes=1))  # fmt: skip
    x = np.zeros((8, 1), np.int64)
    x[3] = 1000
    ones = np.ones_like(x)
    z, _ = run_requantizer(config, x, ones * 0x8000, ones * 15, ones * 0, ones, latency=10)
    assert z[:, 0].tolist() == [0, 0, 0, 1000, 0, 0, 0, 0]
