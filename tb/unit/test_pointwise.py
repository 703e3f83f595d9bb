"""Pointwise, and the parts that it begins with, against the golden models."""

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring

from systolith_hw.tables import FRACTION, Function
from systolith_hw.vector.argument import Argument
from systolith_hw.vector.function_table import FunctionTable
from systolith_hw.vector.operation import Operation
from systolith_hw.vector.pointwise import Pointwise
from systolith_hw.vector.power_distance import PowerDistance
from systolith_sim.vector.exponential import exponentiate
from systolith_sim.vector.function import rectify
from systolith_sim.vector.product import multiply
from systolith_sim.vector.requantizer import clip_normal
from systolith_sim.vector.rotary import ROTARY_FRACTION, rotate
from systolith_sim.vector.row import Factor, scale_row

from .test_requantizer import corners, stream_through

FIXED_MIN, FIXED_MAX = -(2**31), 2**31 - 1
NORMALS = [-(1 << 17), (1 << 17) - 1, 0, 1, -1, 77777]
PASSES = (Operation.STRAIGHT, Operation.ACROSS)
ONE = 1 << FRACTION
EDGES = [sign * (at * ONE) + step for at in (0, 1, 2, 4, 7, 8, 9) for sign in (1, -1)
         for step in range(-2, 3)]  # fmt: skip


class Lane(wiring.Component):
    """Pointwise and the table that it asks, which it shares with readers before it."""

    def __init__(self, readers=1):
        self.pointwise, self.table = Pointwise(), FunctionTable(readers)
        super().__init__({
            name: member for name, member in self.pointwise.signature.members.items()
            if name not in ("place", "line")
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.submodules.pointwise, m.submodules.table = lane, table = self.pointwise, self.table
        for name, member in self.signature.members.items():
            outer, inner = getattr(self, name), getattr(lane, name)
            m.d.comb += inner.eq(outer) if member.flow == wiring.In else outer.eq(inner)
        m.d.comb += [table.places[-1].eq(lane.place), lane.line.eq(table.lines[-1])]
        return m


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
    operation = rng.integers(0, len(Operation), count)
    return {
        "operation": pair(operation),
        "z": z,
        "other": some_normals(rng, count),
        "second": some_normals(rng, count),
        "divide": np.where(operation == Operation.ACROSS, ROTARY_FRACTION,
                           rng.integers(0, 32, count)),
        "reference": np.clip((z >> FRACTION) + near, -(1 << 15), (1 << 15) - 1),
        "scale": rng.choice([0, 1, 0x8000, 0xFFFF, *rng.integers(1 << 15, 1 << 16, 20)], count),
        "negative": rng.integers(0, 2, count),
        "shift": np.where(rng.random(count) < 0.7, rng.integers(0, 36, count),
                          rng.integers(0, 128, count)),
        "bias": rng.choice([0, 1, -1, FIXED_MIN, FIXED_MAX, 1 << 30, -77, 12345], count),
        "keep": rng.random(count) < 0.9,
    }  # fmt: skip


def some_normals(rng, count):
    """Return values of 18 bits."""
    z = rng.integers(-(1 << 17), 1 << 17, count) >> rng.integers(0, 18, count)
    return np.where(rng.random(count) < 0.2, rng.choice(NORMALS, count), z)


def pair(operation):
    """Return operations of which STRAIGHT and ACROSS come in turn, with only NONE between them."""
    paired, inside = operation.copy(), False
    for place, at in enumerate(operation):
        if at in PASSES or inside:
            wanted = Operation.ACROSS if inside else Operation.STRAIGHT
            paired[place] = wanted if at == wanted else Operation.NONE
            inside ^= at == wanted
    return paired


def turned(beats):
    """Return what ACROSS makes, at its place."""
    results = np.zeros(len(beats["z"]), np.int64)
    straight, across = (np.flatnonzero(beats["operation"] == at) for at in PASSES)
    straight = straight[: len(across)]
    pairs = np.stack([clip_normal(beats["z"][straight]), beats["other"][across]], axis=-1)
    cosine, sine = (
        np.stack([beats["second"][places]] * 2, axis=-1) for places in (straight, across)
    )
    if len(across):
        results[across] = rotate(pairs, cosine, sine)[:, 0]
    return results


def golden(beats):
    """Return results, and summands where there are any; STRAIGHT has none."""
    operation, z = beats["operation"], beats["z"]
    products = np.array([
        multiply(value, second, 0, divide)
        for value, second, divide in zip(z, beats["second"], beats["divide"], strict=True)
    ])  # fmt: skip
    keep = beats["keep"].astype(np.int64)
    powers, summands = exponentiate(z[:, None], beats["reference"], (beats["shift"] & 15)[:, None])
    results = np.choose(operation, [
        z, rectify(z, Function.GELU), rectify(z, Function.SILU), products, powers[:, 0],
        affine(z, *(beats[name] for name in ("scale", "negative", "shift", "bias"))),
        np.zeros_like(z), turned(beats),
    ])  # fmt: skip
    return results * keep, summands[:, 0] * keep


def run(dut, beats):
    """Send a value in each cycle; return what came out for it."""
    def late(name, delay=0):
        values = [int(value) for value in beats[name]]
        return [values[0]] * (delay + Pointwise.operation_lead) + values

    factors = [
        dict(zip(("scale", "shift", "negative"), map(int, factor), strict=True))
        for factor in zip(beats["scale"], beats["shift"], beats["negative"], strict=True)
    ]
    latency = Pointwise.operation_lead + Pointwise.latency
    before = Pointwise.factor_delay + Pointwise.operation_lead
    seen = stream_through(
        dut,
        [
            (dut.operation, beats["operation"].tolist()),
            (dut.z, late("z")),
            (dut.other, late("other", Pointwise.second_delay)),
            (dut.second, late("second", Pointwise.second_delay)),
            (dut.shift, late("divide", Pointwise.factor_delay)),
            (dut.reference, late("reference")),
            (dut.factor, factors[:1] * before + factors),
            (dut.bias, late("bias", Pointwise.bias_delay)),
            (dut.keep, late("keep", Pointwise.keep_delay)),
        ],
        [dut.result, dut.summand], len(factors) + latency,
    )  # fmt: skip
    return np.array(seen[latency:]).T


@pytest.mark.parametrize("readers", [1, 2])
def test_matches_golden(readers, count=3000, seed=0):
    beats = some_beats(np.random.default_rng(seed), count)
    results, summands = run(Lane(readers), beats)
    wanted, wanted_summands = golden(beats)
    made = beats["operation"] != Operation.STRAIGHT
    np.testing.assert_array_equal(results[made], wanted[made])
    powers = beats["operation"] == Operation.EXP2
    np.testing.assert_array_equal(summands[powers], wanted_summands[powers])


@pytest.mark.parametrize("operation", [item for item in Operation if item not in PASSES])
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
        "scale": np.full(len(z), 0xFFFF), "keep": np.ones(len(z), bool), "divide": shift & 31,
        "second": np.where(end < 0, -(1 << 17), (1 << 17) - 1), "other": np.zeros_like(z),
    }  # fmt: skip
    results, summands = run(Lane(), beats)
    wanted, wanted_summands = golden(beats)
    np.testing.assert_array_equal(results, wanted)
    if operation == Operation.EXP2:
        np.testing.assert_array_equal(summands, wanted_summands)


@pytest.mark.parametrize("gap", [1, 2, 7])
def test_corners_of_pairs(gap):
    """All extremes of two products, which are added exactly, with some cycles between them."""
    corners = np.stack(np.meshgrid(NORMALS, NORMALS, NORMALS, NORMALS), axis=-1).reshape(-1, 4)
    places = np.arange(len(corners)) * (gap + 1)
    beats = some_beats(np.random.default_rng(gap), (gap + 1) * len(corners))
    beats["keep"][:], beats["operation"][:] = True, Operation.NONE
    beats["operation"][places], beats["operation"][places + gap] = PASSES
    beats["divide"][places + gap] = ROTARY_FRACTION
    beats["z"][places], beats["other"][places + gap] = corners[:, 0], corners[:, 1]
    beats["second"][places], beats["second"][places + gap] = corners[:, 2], corners[:, 3]
    made = beats["operation"] != Operation.STRAIGHT
    np.testing.assert_array_equal(run(Lane(), beats)[0][made], golden(beats)[0][made])


def test_every_power_and_every_tie():
    """All fractions at some distances: every line of the table, rounded in every place."""
    count = 1 << FRACTION
    rng = np.random.default_rng(4)
    z = np.arange(count) - (3 << FRACTION)
    beats = {
        "operation": np.full(count, Operation.EXP2), "z": z,
        "reference": rng.integers(-3, 18, count), "shift": rng.integers(0, 16, count),
        **{name: np.zeros(count, int)
           for name in ("scale", "negative", "bias", "other", "second", "divide")},
        "keep": np.ones(count, bool),
    }  # fmt: skip
    some = rng.choice(count, 6000, replace=False)
    beats = {name: values[some] for name, values in beats.items()}
    results, summands = run(Lane(), beats)
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
    outputs = [dut.segment, dut.rest, dut.tabulated, dut.clipped]
    exponential = operations == Operation.EXP2
    rectifier = (operations == Operation.GELU) | (operations == Operation.SILU)
    inputs = [
        (dut.exponential, exponential.tolist()), (dut.rectifier, rectifier.tolist()),
        (dut.z, z.tolist()),
    ]  # fmt: skip
    seen = stream_through(dut, inputs, outputs, len(z) + 1)
    for operation, value, outs in zip(operations, z, seen[1:], strict=True):
        *line, tabulated, clipped = outs
        assert clipped == np.clip(value, -(1 << 17), (1 << 17) - 1)
        if operation == Operation.EXP2:
            fraction = int(value) % ONE
            assert line == [fraction >> 9, (fraction & 511) << 3] and tabulated
        elif operation in (Operation.GELU, Operation.SILU):
            size = abs(int(value))
            assert tabulated == (size < 8 * ONE)
            if tabulated:
                assert line == [size >> 12, size & 4095]
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
