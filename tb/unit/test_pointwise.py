"""Pointwise, and the parts that it begins with, against the golden models."""

import numpy as np
import pytest

from systolith_hw.tables import FRACTION, Function
from systolith_hw.vector.argument import Argument
from systolith_hw.vector.operation import Operation
from systolith_hw.vector.pointwise import Pointwise
from systolith_hw.vector.power_distance import PowerDistance
from systolith_sim.vector.exponential import exponentiate
from systolith_sim.vector.function import rectify
from systolith_sim.vector.row import Factor, scale_row

from .test_requantizer import corners, stream_through

FIXED_MIN, FIXED_MAX = -(2**31), 2**31 - 1
ONE = 1 << FRACTION
EDGES = [sign * (at * ONE) + step for at in (0, 1, 2, 4, 7, 8, 9) for sign in (1, -1)
         for step in range(-2, 3)]  # fmt: skip


def affine(z, scale, negative, shift, bias):
    """Return the golden model's second half: a mean and a factor that change nothing."""
    return scale_row(z, 0, Factor(1 << 15, 15 + 12), scale=scale, negative=negative, shift=shift,
                     bias=bias)  # fmt: skip


def some_values(rng, count):
    """Return values of all magnitudes, and where functions begin and end."""
    z = rng.integers(FIXED_MIN, FIXED_MAX + 1, count) >> rng.integers(0, 32, count)
    picked = rng.choice([*corners(32), *EDGES], count)
    return np.where(rng.random(count) < 0.4, picked, z)


def some_beats(rng, count):
    """Return one value for each member of Pointwise in each cycle."""
    z = some_values(rng, count)
    near = rng.integers(0, 40, count) + rng.choice([0, 0, 0, 1 << 14], count)
    return {
        "operation": rng.integers(0, len(Operation), count),
        "z": z,
        "reference": np.clip((z >> FRACTION) + near, -(1 << 15), (1 << 15) - 1),
        "scale": rng.choice([0, 1, 0x8000, 0xFFFF, *rng.integers(1 << 15, 1 << 16, 20)], count),
        "negative": rng.integers(0, 2, count),
        "shift": np.where(rng.random(count) < 0.7, rng.integers(0, 36, count),
                          rng.integers(0, 128, count)),
        "bias": rng.choice([0, 1, -1, FIXED_MIN, FIXED_MAX, 1 << 30, -77, 12345], count),
        "keep": rng.random(count) < 0.9,
    }  # fmt: skip


def golden(beats):
    """Return results, and summands where there are any."""
    operation, z = beats["operation"], beats["z"]
    keep = beats["keep"].astype(np.int64)
    powers, summands = exponentiate(z[:, None], beats["reference"], (beats["shift"] & 15)[:, None])
    results = np.choose(operation, [
        z, rectify(z, Function.GELU), rectify(z, Function.SILU), powers[:, 0],
        affine(z, *(beats[name] for name in ("scale", "negative", "shift", "bias"))),
    ])  # fmt: skip
    return results * keep, summands[:, 0] * keep


def run(dut, beats):
    """Send a value in each cycle; return what came out for it."""
    def late(values, delay):
        return [values[0]] * delay + list(values)

    factors = [
        dict(zip(("scale", "shift", "negative"), map(int, factor), strict=True))
        for factor in zip(beats["scale"], beats["shift"], beats["negative"], strict=True)
    ]
    count = len(factors)
    seen = stream_through(
        dut,
        [
            (dut.operation, beats["operation"].tolist()),
            (dut.z, beats["z"].tolist()),
            (dut.reference, beats["reference"].tolist()),
            (dut.factor, late(factors, dut.factor_delay)),
            (dut.bias, late(beats["bias"].tolist(), dut.bias_delay)),
            (dut.keep, late(beats["keep"].astype(int).tolist(), dut.keep_delay)),
        ],
        [dut.result, dut.summand], count + dut.latency,
    )  # fmt: skip
    return np.array(seen[dut.latency :]).T


@pytest.mark.parametrize("distributed", [False, True])
def test_matches_golden(distributed, count=3000, seed=0):
    beats = some_beats(np.random.default_rng(seed), count)
    dut = Pointwise(distributed=distributed)
    results, summands = run(dut, beats)
    wanted, wanted_summands = golden(beats)
    np.testing.assert_array_equal(results, wanted)
    powers = beats["operation"] == Operation.EXP2
    np.testing.assert_array_equal(summands[powers], wanted_summands[powers])


@pytest.mark.parametrize("operation", list(Operation))
def test_corners(operation):
    """Extremes of every input together, one operation at a time."""
    z, shift, negative, end = np.meshgrid(
        [FIXED_MIN, FIXED_MAX, 0, -1, 1, 1 << 17, -(1 << 17) - 1, 8 * ONE, -8 * ONE],
        [0, 1, 15, 16, 33, 34, 35, 40, 63, 64, 127], [0, 1], [FIXED_MIN, FIXED_MAX],
    )  # fmt: skip
    z, shift, negative, end = z.ravel(), shift.ravel(), negative.ravel(), end.ravel()
    beats = {
        "operation": np.full(len(z), operation), "z": z, "bias": end, "negative": negative,
        "reference": np.where(end < 0, z >> FRACTION, (1 << 15) - 1), "shift": shift,
        "scale": np.full(len(z), 0xFFFF), "keep": np.ones(len(z), bool),
    }  # fmt: skip
    results, summands = run(Pointwise(), beats)
    wanted, wanted_summands = golden(beats)
    np.testing.assert_array_equal(results, wanted)
    if operation == Operation.EXP2:
        np.testing.assert_array_equal(summands, wanted_summands)


def test_every_power_and_every_tie():
    """All fractions at some distances: every line of the table, rounded in every place."""
    count = 1 << FRACTION
    rng = np.random.default_rng(4)
    z = np.arange(count) - (3 << FRACTION)
    beats = {
        "operation": np.full(count, Operation.EXP2), "z": z,
        "reference": rng.integers(-3, 18, count), "shift": rng.integers(0, 16, count),
        **{name: np.zeros(count, int) for name in ("scale", "negative", "bias")},
        "keep": np.ones(count, bool),
    }  # fmt: skip
    some = rng.choice(count, 6000, replace=False)
    beats = {name: values[some] for name, values in beats.items()}
    results, summands = run(Pointwise(), beats)
    wanted, wanted_summands = golden(beats)
    np.testing.assert_array_equal(results, wanted)
    np.testing.assert_array_equal(summands, wanted_summands)


def test_latency():
    """A single value among zeros comes out exactly ``latency`` cycles later, for one cycle."""
    beats = {name: np.zeros(9, int) for name in some_beats(np.random.default_rng(), 1)}
    beats["z"][4], beats["keep"] = 1000, np.ones(9, bool)
    dut = Pointwise()
    assert dut.latency == 11
    assert run(dut, beats)[0].tolist() == [0] * 4 + [1000] + [0] * 4


def test_argument(seed=3):
    rng = np.random.default_rng(seed)
    operations = rng.integers(0, len(Operation), 1000)
    z = some_values(rng, len(operations))
    dut = Argument()
    assert dut.latency == 1
    outputs = [dut.function, dut.segment, dut.rest, dut.tabulated, dut.clipped]
    seen = stream_through(
        dut, [(dut.operation, operations.tolist()), (dut.z, z.tolist())], outputs, len(z) + 1
    )
    for operation, value, outs in zip(operations, z, seen[1:], strict=True):
        *line, tabulated, clipped = outs
        assert clipped == np.clip(value, -(1 << 17), (1 << 17) - 1)
        if operation == Operation.EXP2:
            fraction = int(value) % ONE
            assert line == [Function.EXP2, fraction >> 9, (fraction & 511) << 3] and tabulated
        elif operation in (Operation.GELU, Operation.SILU):
            size = abs(int(value))
            assert tabulated == (size < 8 * ONE)
            if tabulated:
                assert line == [operation, size >> 12, size & 4095]
        else:
            assert not tabulated


def test_power_distance():
    rng = np.random.default_rng(1)
    z = some_values(rng, 1500)
    distance = rng.choice([*range(70), 1 << 14, 40000], len(z))
    reference = np.clip((z >> FRACTION) + distance, -(1 << 15), (1 << 15) - 1)
    distance = reference - (z >> FRACTION)
    dut = PowerDistance()
    assert dut.latency == 2
    seen = stream_through(
        dut, [(dut.reference, reference.tolist()), (dut.z, z.tolist())],
        [dut.long, dut.short], len(z) + 2,
    )  # fmt: skip
    wanted = np.stack([np.minimum(distance, 48), np.minimum(distance, 31)], axis=1)
    np.testing.assert_array_equal(np.array(seen[2:]), wanted)
