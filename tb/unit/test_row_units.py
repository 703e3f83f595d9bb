"""RowMaximum, RowSum and Moments against their golden models."""

import numpy as np
import pytest
from amaranth.hdl import Shape

from systolith_hw.tables import FRACTION
from systolith_hw.vector.adder_tree import AdderTree
from systolith_hw.vector.moments import Moments
from systolith_hw.vector.row_maximum import RowMaximum
from systolith_hw.vector.row_shapes import longest_row, moments, total_bits
from systolith_hw.vector.row_sum import RowSum
from systolith_hw.vector.square import Square
from systolith_sim.vector.exponential import reference
from systolith_sim.vector.row import row_sums

from .row_bench import row_config, run_rows
from .test_requantizer import stream_through

LANES = [1, 2, 4, 8]


def beats(values, lanes):
    """Return a row's values as beats; the last one is filled with zeros."""
    values = list(map(int, values)) + [0] * (-len(values) % lanes)
    return [values[at : at + lanes] for at in range(0, len(values), lanes)]


@pytest.mark.parametrize("stalls", [False, True])
@pytest.mark.parametrize("lanes", LANES)
def test_maximum(lanes, stalls):
    rng = np.random.default_rng(lanes)
    ends = [-(1 << 31), (1 << 31) - 1, -(1 << 31) + 65536, 0, -1, 65535, 65536]
    rows = []
    wanted = []
    for index in range(150):
        count = int(rng.integers(1, 6)) * lanes
        z = rng.integers(-(1 << 31), 1 << 31, count) >> rng.integers(0, 16)
        z = np.where(rng.random(count) < 0.2, rng.choice(ends, count), z)
        if index % 10 == 0:
            z[:] = rng.choice(ends)
        keep = rng.random(count) < rng.choice([0.1, 0.9, 1])
        keep[rng.integers(count)] = True
        wanted.append(int(reference(z[keep])))
        rows.append([
            {"integers": part, "keep": sum(bit << lane for lane, bit in enumerate(mask))}
            for part, mask in zip(beats(z >> FRACTION, lanes), beats(keep, lanes), strict=True)
        ])  # fmt: skip
    dut = RowMaximum(row_config(lanes))
    assert dut.latency == {1: 1, 2: 2, 4: 3, 8: 4}[lanes]
    assert run_rows(dut, rows, rng, stalls) == wanted


@pytest.mark.parametrize("stalls", [False, True])
@pytest.mark.parametrize("lanes", LANES)
def test_sum(lanes, stalls):
    rng = np.random.default_rng(lanes)
    config = row_config(lanes, wide_words=60)
    longest = longest_row(config)
    rows = [rng.integers(0, 1 << 16, rng.integers(1, 50)) for _ in range(60)]
    rows += [np.full(longest, 0xFFFF), np.zeros(3, int), np.full(longest, 0xFFFF)]
    dut = RowSum(config)
    assert dut.latency == {1: 1, 2: 2, 4: 3, 8: 4}[lanes]
    got = run_rows(
        dut, [[{"summands": beat} for beat in beats(row, lanes)] for row in rows], rng, stalls
    )
    assert got == [int(row.sum()) for row in rows]
    assert total_bits(config) == max(got).bit_length()


def some_words(rng, config, count):
    """Return beats of mantissas and exponents as a normalizer makes them."""
    array = config.array
    limit = (1 << array.mantissa_bits - 1) - 1
    mantissas = rng.integers(-limit, limit + 1, (count, config.vector.lanes))
    ends = rng.choice([-limit, limit, 0, 1, -1], mantissas.shape)
    mantissas = np.where(rng.random(mantissas.shape) < 0.3, ends, mantissas)
    exponents = rng.integers(0, array.window + 1, count)
    # None is beyond 32 bits.
    mantissas >>= np.maximum(exponents + array.mantissa_bits - 32, 0)[:, None]
    return mantissas, exponents


@pytest.mark.parametrize("multipliers", [False, True])
@pytest.mark.parametrize("lanes, mantissa_bits, window", [
    (1, 8, 15), (2, 8, 24), (4, 8, 24), (8, 8, 24), (2, 16, 24), (4, 16, 16), (4, 11, 5),
])  # fmt: skip
def test_moments(lanes, mantissa_bits, window, multipliers, seed=0):
    rng = np.random.default_rng(seed)
    config = row_config(lanes, mantissa_bits=mantissa_bits, window=window, wide_words=64)
    rows = [some_words(rng, config, int(rng.integers(1, 9))) for _ in range(80)]
    limit = (1 << mantissa_bits - 1) - 1
    top = min(window, 32 - mantissa_bits)
    for sign in (1, -1):  # the longest row of the largest values
        rows.append((np.full((64, lanes), sign * limit), np.full(64, top)))
    if window + mantissa_bits > 32:
        rows.append((np.full((64, lanes), -(1 << 31 - window)), np.full(64, window)))
    payloads = [
        [{"mantissas": beat, "exponent": int(exponent)}
         for beat, exponent in zip(mantissas.tolist(), exponents, strict=True)]
        for mantissas, exponents in rows
    ]  # fmt: skip
    dut = Moments(config, multipliers=multipliers)
    assert dut.latency == {1: 4, 2: 5, 4: 6, 8: 7}[lanes]
    got = run_rows(dut, payloads, rng, stalls=seed % 2 == 0)
    wanted = [row_sums([mantissas], [exponents])[0] for mantissas, exponents in rows]
    assert [(sums.total, sums.squares) for sums in got] == [
        (sums.total, sums.squares) for sums in wanted
    ]


def test_moments_without_pauses():
    test_moments(4, 8, 24, False, seed=1)


@pytest.mark.parametrize("preset, widths", [
    ((4, 8, 24, 512), (43, 73)), ((8, 8, 24, 8192), (48, 78)), ((2, 16, 24, 65535), (48, 78)),
    ((1, 8, 15, 256), (31, 52)),
])  # fmt: skip
def test_widths(preset, widths):
    lanes, mantissa_bits, window, wide_words = preset
    config = row_config(lanes, mantissa_bits=mantissa_bits, window=window, wide_words=wide_words)
    assert tuple(field.width for _, field in moments(config)) == widths
    assert total_bits(config) <= 32


@pytest.mark.parametrize("multiplier", [False, True])
@pytest.mark.parametrize("bits", [8, 9, 16])
def test_square(bits, multiplier):
    limit = (1 << bits - 1) - 1
    values = list(range(-limit, limit + 1, 1 if bits < 10 else 97)) + [-limit, limit]
    dut = Square(bits, multiplier=multiplier)
    assert dut.latency == 2
    seen = stream_through(dut, [(dut.mantissa, values)], [dut.square], len(values) + 2)
    assert seen[2:] == [[value * value] for value in values]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("lanes", LANES)
def test_adder_tree(lanes, signed):
    rng = np.random.default_rng(lanes)
    low, high = (-128, 127) if signed else (0, 255)
    values = [[low] * lanes, [high] * lanes, *rng.integers(low, high + 1, (40, lanes)).tolist()]
    dut = AdderTree(Shape(8, signed), lanes)
    if lanes == 1:
        assert dut.latency == 0  # nothing but a wire: there is no clock to simulate
        return
    assert dut.latency == {2: 1, 4: 2, 8: 3}[lanes]
    count = len(values) + dut.latency
    seen = stream_through(dut, [(dut.values, values)], [dut.total], count)
    assert seen[dut.latency :] == [[sum(beat)] for beat in values]
