"""Tables and functions of the vector unit against float64."""

import math

import numpy as np
import pytest

from systolith_hw.config import ArrayConfig
from systolith_hw.tables import FRACTION, SEGMENTS, TABLES, Function
from systolith_sim.transformer.encoder import to_words
from systolith_sim.vector.exponential import FAR, exponentiate, reference
from systolith_sim.vector.function import rectify
from systolith_sim.vector.row import reciprocal_factor

ONE = 1 << FRACTION
_erf = np.vectorize(math.erf)


@pytest.mark.parametrize("function", list(Function))
def test_entries_have_the_widths_that_hardware_gives_them(function):
    table = TABLES[function]
    assert len(table.values) == len(table.rises) == SEGMENTS
    assert 0 <= min(table.values) and max(table.values) < 1 << 16
    assert -(1 << 12) <= min(table.rises) and max(table.rises) < 1 << 12


def exact(function, x):
    if function == Function.GELU:
        return x * (1 + _erf(x / math.sqrt(2))) / 2
    return x / (1 + np.exp(-np.maximum(x, -700)))  # which float64 can say


@pytest.mark.parametrize("function, bound", [(Function.GELU, 2.1e-4), (Function.SILU, 1.4e-4)])
def test_rectifiers_keep_their_error_inside_their_tables(function, bound):
    """For each of the numbers."""
    z = np.arange(-8 * ONE + 1, 8 * ONE)
    error = np.abs(rectify(z, function) / ONE - exact(function, z / ONE))
    assert bound / 1.1 < error.max() <= bound


@pytest.mark.parametrize("function, bound", [(Function.GELU, 1e-9), (Function.SILU, 2.7e-3)])
def test_rectifiers_keep_their_error_beyond_their_tables(function, bound):
    beyond = np.unique(np.geomspace(8 * ONE, (1 << 31) - 1, 200_000).astype(np.int64))
    for z in (beyond, np.append(-beyond, -(1 << 31))):
        error = np.abs(rectify(z, function) / ONE - exact(function, z / ONE))
        assert error.max() <= bound
        assert error[np.abs(z) >= 14 * ONE].max() <= 2**-16


@pytest.mark.parametrize("function", [Function.GELU, Function.SILU])
def test_rectifiers_at_the_ends(function):
    z = np.array([0, -(1 << 31), (1 << 31) - 1, 8 * ONE, -8 * ONE])
    values = rectify(z, function)
    assert values[1:].tolist() == [0, (1 << 31) - 1, 8 * ONE, 0]
    assert abs(values[0]) < 15  # 2e-4, as anywhere


def test_every_power_keeps_its_error():
    z = np.arange(ONE)[None]
    _, summands = exponentiate(z, [0], np.zeros_like(z))
    error = summands / 2**15 / 2.0 ** (z / ONE) - 1
    assert 2**-16 < np.abs(error).max() <= 2**-15


def test_powers_keep_their_error_once_rounded():
    """However far below the largest, and with every exponent of V."""
    rng = np.random.default_rng(4)
    z = -rng.integers(0, (FAR + 3) * ONE, (16, 20_000))
    z[:, 0] = ONE - 1
    z[:, 1:100] = -ONE * np.arange(99) + rng.integers(-1, 2, (16, 99))  # where fractions wrap
    exponents = np.arange(16)[:, None] + np.zeros_like(z)
    raised, summands = exponentiate(z, reference(z), exponents)
    for values, powers in ((raised, z / ONE + exponents), (summands, z / ONE)):
        wanted = 2.0 ** (powers + 15)
        share = np.abs(values - wanted) / (0.5 + 2**-15 * wanted)
        assert 0.9 < share.max() <= 1


def softmax_rows(rng, length):
    """Yield scores of rows, the largest of which is below 1."""
    for deviation in (0.1, 1, 4, 30):
        scores = rng.normal(0, deviation, length)
        yield scores - scores.max()
    yield np.zeros(length)
    for lost in (15.99, 16.01):  # half an LSB each: all are rounded, down or up
        yield np.append(0.99, np.full(length - 1, 1.0 - lost))


@pytest.mark.parametrize("length", [1, 2, 64, 512, 1 << 14])
def test_softmax_keeps_its_error(length):
    rng = np.random.default_rng(length)
    for scores in softmax_rows(rng, length):
        z = np.rint(scores * ONE).astype(np.int64)
        values, summands = exponentiate(z[None], reference(z[None]), np.zeros_like(z[None]))
        f = reciprocal_factor(int(summands.sum()))
        p = 2.0 ** (z / ONE)
        p /= p.sum()
        error = np.abs(values[0] * (f.scale * 2.0**-f.shift) - p)
        assert np.all(error <= 2**-15 + p * (2**-13 + length * 2**-15))


def test_exponents_of_v_shift_exactly():
    rng = np.random.default_rng(3)
    z = rng.integers(-12 * ONE, 0, (5, 40))
    exponents = rng.integers(0, 16, z.shape)
    raised, summands = exponentiate(z, reference(z), exponents)
    plain, _ = exponentiate(z, reference(z), np.zeros_like(z))
    assert (plain == summands).all()
    # Rounding comes after the shift, so that what was raised has more digits, and never fewer.
    assert (np.abs(raised - (summands << exponents)) <= 1 << np.maximum(exponents - 1, 0)).all()
    assert raised.max() < 1 << 31


def test_far_scores_vanish():
    z = np.array([[0, -FAR * ONE, -(1 << 31)]])
    raised, summands = exponentiate(z, reference(z), np.full_like(z, 15))
    assert summands.tolist() == [[1 << 15, 0, 0]] and raised[0, 1:].tolist() == [0, 0]


@pytest.mark.parametrize("deviation", [1, 2, 4])
@pytest.mark.parametrize("length", [64, 512])
def test_softmax_rows_as_stored(deviation, length):
    """Rows of probabilities as 8-bit blocks of 16, and their product with V, against float."""
    rng = np.random.default_rng(length + deviation)
    scores = rng.normal(0, deviation, (1000, length))
    z = np.rint(scores * math.log2(math.e) * ONE).astype(np.int64)
    powers, summands = exponentiate(z, reference(z), np.zeros_like(z))
    words = to_words(ArrayConfig(rows=16), powers, 0)
    stored = (words.mantissas << words.exponents[..., None]).reshape(z.shape)
    totals = summands.sum(-1)
    factors = [reciprocal_factor(int(total)) for total in totals]
    scale = np.array([f.scale * 2.0**-f.shift for f in factors])[:, None]
    softmax = np.exp(scores - scores.max(-1, keepdims=True))
    softmax /= softmax.sum(-1, keepdims=True)
    assert np.abs(stored * scale - softmax).sum(-1).mean() <= 0.03

    values = rng.integers(-127, 128, (length, 64))
    wanted = softmax @ values
    got = words.times(values) * scale
    assert np.sqrt(((got - wanted) ** 2).mean() / (wanted**2).mean()) <= 0.012
