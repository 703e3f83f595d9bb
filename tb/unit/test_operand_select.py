"""OperandSelect with the requantiser behind it, and SaturatingAdder, against golden models."""

import numpy as np
import pytest
from amaranth import Module

from systolith_hw.config import ArrayConfig, Config, VectorConfig
from systolith_hw.vector.operand_select import OperandSelect, operand_bits
from systolith_hw.vector.requantizer import Requantizer
from systolith_hw.vector.saturating_adder import SaturatingAdder
from systolith_sim.vector.requantizer import FIXED_MAX, FIXED_MIN, requantize_each

from .test_requantizer import corners, stream_through

RESULTS, FACTOR, CENTRE, NONE = range(4)


def joined(config):
    """Return both parts, and what holds them."""
    select, requantizer = OperandSelect(config), Requantizer(config)
    m = Module()
    m.submodules.requantizer, m.submodules.select = requantizer, select
    m.d.comb += [
        getattr(requantizer, name).eq(getattr(select, name))
        for name in ("x", "factors", "biases", "keep")
    ]
    return m, select, requantizer


def fixed(rng, shape):
    """Return fixed-point values of all magnitudes, some of them the ends."""
    z = rng.integers(FIXED_MIN, FIXED_MAX + 1, shape) >> rng.integers(0, 32, shape)
    ends = rng.choice([FIXED_MIN, FIXED_MAX, 0, -1], shape)
    return np.where(rng.random(shape) < 0.2, ends, z)


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("window", [5, 24])
def test_every_way(lanes, window):
    """Beats of every kind in any order, each with constants that only its own way uses."""
    config = Config(array=ArrayConfig(window=window), vector=VectorConfig(lanes=lanes))
    bits = operand_bits(config)
    assert bits == config.array.accumulator_bits == 28 + window
    rng = np.random.default_rng(lanes + window)
    count = 400
    way = rng.integers(0, 4, count)
    low, high = -(1 << bits - 1), 1 << bits - 1
    sums = rng.integers(low, high, (count, lanes)) >> rng.integers(0, bits, (count, lanes))
    sums = np.where(rng.random(sums.shape) < 0.2, rng.choice(corners(bits), sums.shape), sums)
    wide, mean, biases = fixed(rng, (count, lanes)), fixed(rng, count), fixed(rng, (count, lanes))
    valid = rng.integers(0, lanes + 1, count)
    scale = rng.integers(1 << 15, 1 << 16, (4, count, lanes))
    shift = np.stack([rng.integers(0, 128, (count, lanes))] * 2
                     + [rng.integers(16, 48, (count, lanes))] * 2)  # fmt: skip
    entry, row, record = (0, 2, 3)
    offset = rng.integers(0, 128, count)

    # x, scale, shift, bias of each way.
    one = np.s_[:, :1]
    ways = (
        (sums, scale[entry], shift[entry], biases),
        (sums, scale[row][one], shift[row][one] - offset[:, None] & 127, 0),
        (wide - mean[:, None], scale[record][one], shift[record][one] - 12, 0),
        (0, 1 << 15, 0, 0),
    )
    chosen = [
        np.choose(way[:, None], [np.broadcast_to(each[part], (count, lanes)) for each in ways])
        for part in range(4)
    ]
    z, saturated = requantize_each(*chosen)
    kept = (np.arange(lanes) < valid[:, None]) & (way != NONE)[:, None]

    m, select, requantizer = joined(config)

    def late(signal, values, delay):
        return signal, [values[0]] * delay + list(values)

    def factors(which):
        parts = zip(scale[which].tolist(), shift[which].tolist(), strict=True)
        return [
            [{"scale": a, "shift": b} for a, b in zip(*part, strict=True)] for part in parts
        ]

    choices = [
        {"results": w in (RESULTS, FACTOR), "factor": w == FACTOR, "centre": w == CENTRE,
         "lanes": v} for w, v in zip(way.tolist(), valid.tolist(), strict=True)
    ]  # fmt: skip
    inputs = [
        (select.choice, choices),
        (select.sums, sums.tolist()),
        (select.wide, wide.tolist()),
        (select.mean, mean.tolist()),
        late(select.row_factor, [each[0] for each in factors(row)], select.factor_delay),
        late(select.record_factor, [each[0] for each in factors(record)], select.factor_delay),
        late(select.offset, offset.tolist(), select.factor_delay),
        late(select.entries, factors(entry), select.entry_delay),
        late(select.entry_biases, biases.tolist(), select.bias_delay),
    ]
    latency = 1 + Requantizer.latency
    outputs = [*requantizer.z, requantizer.saturated]
    seen = np.array(stream_through(m, inputs, outputs, count + latency)[latency:])
    np.testing.assert_array_equal(seen[:, :-1], np.where(kept, z, 0))
    flags = (saturated & kept) @ (1 << np.arange(lanes))
    np.testing.assert_array_equal(seen[:, -1], flags)


def test_short_accumulators_are_widened():
    """A value less its mean has 33 bits, even where sums have fewer."""
    config = Config(array=ArrayConfig(window=1, max_k=64), vector=VectorConfig(lanes=1))
    assert config.array.accumulator_bits < operand_bits(config) == 33
    dut = OperandSelect(config)
    wide, mean = [FIXED_MAX, FIXED_MIN, 5], [FIXED_MIN, FIXED_MAX, 7]
    choice = [{"centre": 1, "lanes": 1}] * 3 + [{"results": 1, "lanes": 1}]
    inputs = [
        (dut.choice, choice), (dut.wide, [[z] for z in wide]), (dut.mean, mean),
        (dut.sums, [[-3]] * 4),
    ]  # fmt: skip
    seen = stream_through(dut, inputs, [dut.x[0]], 5)
    assert [x for x, in seen[1:]] == [2 * FIXED_MAX + 1, -2 * FIXED_MAX - 1, -2, -3]


@pytest.mark.parametrize("lanes", [1, 4])
def test_adder(lanes):
    rng = np.random.default_rng(lanes)
    edges = [value for value in corners(32) if abs(value) < 3 or abs(value) > 2**30 - 3]
    pairs = [(a, b) for a in edges for b in edges]
    pairs += [(0, 0)] * (-len(pairs) % lanes)
    z, wide = np.array(pairs).T.reshape(2, -1, lanes)
    more = fixed(rng, (2, 200, lanes))
    z, wide = np.concatenate([z, more[0]]), np.concatenate([wide, more[1]])
    add = rng.random(z.shape) < 0.8
    before = rng.random(z.shape) < 0.3
    total = z + np.where(add, wide, 0)
    limited = np.clip(total, FIXED_MIN, FIXED_MAX)
    rectify = rng.random(len(z)) < 0.5
    clipped = before | (limited != total)

    dut = SaturatingAdder(Config(vector=VectorConfig(lanes=lanes)))
    bits = 1 << np.arange(lanes)
    inputs = [
        (dut.z, z.tolist()), (dut.wide, wide.tolist()), (dut.add, (add @ bits).tolist()),
        (dut.saturated, (before @ bits).tolist()), (dut.rectify, rectify.tolist()),
    ]  # fmt: skip
    seen = stream_through(dut, inputs, [*dut.o, dut.clipped], len(z) + dut.latency)
    got = np.array(seen[dut.latency :])
    wanted = np.where(rectify[:, None], np.maximum(limited, 0), limited)
    np.testing.assert_array_equal(got[:, :-1], wanted)
    np.testing.assert_array_equal(got[:, -1], clipped @ bits)
