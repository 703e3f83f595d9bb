"""Golden models of the vector unit against float64 and against exact integers of Python."""

from fractions import Fraction

import numpy as np
import pytest

from systolith_sim.vector.normalizer import normalize
from systolith_sim.vector.requantizer import normalize_significand, requantize, round_half_even

FIXED_MIN, FIXED_MAX = -(2**31), 2**31 - 1
EDGES = [0, 1, -1, 2, -2, 2**16, -(2**16), 2**17 - 1, 2**17, -(2**17), 2**31, 2**51 - 1, -(2**51)]


def exact_requantize(x, scale, shift, bias):
    """Follow docs/numerics.md with Python's unbounded integers and fractions."""
    m, s = 0, 0
    if x:
        s = (x if x >= 0 else -x - 1).bit_length() - 17
        m = x << -s if s <= 0 else x >> s | (x & (1 << s) - 1 != 0)
    assert m == 0 or 2**16 <= m < 2**17 or -(2**17) <= m < -(2**16)
    p, t = m * scale, shift - s
    if t < 0:
        y = 0 if p == 0 else FIXED_MAX + 1 if p > 0 else FIXED_MIN - 1
    else:
        y = round(Fraction(p, 2**t))  # Python rounds halves to even
    clipped = min(max(y, FIXED_MIN), FIXED_MAX)
    z = min(max(clipped + bias, FIXED_MIN), FIXED_MAX)
    return z, z != clipped + bias or clipped != y


@pytest.mark.parametrize("scale", [0, 0x8000, 0xB505, 0xFFFF])
@pytest.mark.parametrize("shift", [0, 1, 17, 30, 34, 35, 52, 127])
def test_requantize_is_exact(scale, shift):
    rng = np.random.default_rng(shift)
    widths = rng.integers(0, 52, 100)
    xs = [*EDGES, *(rng.integers(-(2**51), 2**51, 100) >> widths).tolist()]
    for bias in (0, -1, FIXED_MIN, FIXED_MAX, 12345):
        wanted = [exact_requantize(x, scale, shift, bias) for x in xs]
        values, saturations = requantize(xs, scale, shift, bias)
        assert values.tolist() == [value for value, _ in wanted]
        assert saturations == sum(saturated for _, saturated in wanted)


def test_requantize_only_product_that_rounds_past_the_largest():
    """2**32 - 1 = 65537 * 65535 halves to a tie that rounds up to 2**31: clipped before bias."""
    assert exact_requantize(65537, 65535, 1, -5) == (FIXED_MAX - 5, True)
    values, saturations = requantize([65537, -65537], 65535, 1, -5)
    assert values.tolist() == [FIXED_MAX - 5, FIXED_MIN] and saturations == 2


def test_requantize_against_float():
    rng = np.random.default_rng(1)
    x = rng.integers(-(2**45), 2**45, 2000) >> rng.integers(0, 40, 2000)
    scale = rng.integers(2**15, 2**16, 2000)
    shift = rng.integers(40, 60, 2000)
    bias = rng.integers(-(2**20), 2**20, 2000)
    real = x * scale.astype(np.float64) * 2.0**-shift
    values, saturations = requantize(x, scale, shift, bias)
    assert saturations == 0
    assert np.all(np.abs(values - bias - real) <= 0.5 + np.abs(real) * 2.0**-16)


def test_significand_keeps_value_and_stickiness():
    m, s = normalize_significand([2**40 + 1, 2**40, -(2**40) - 1, -1, 0, 3])
    assert m.tolist() == [2**16 | 1, 2**16, -(2**16) - 1, -(2**17), 0, 3 << 15]
    assert s.tolist() == [24, 24, 24, -17, 0, -15]


def test_round_half_even_ties():
    values = np.array([1, 3, 5, -1, -3, -5, 4, -4])
    assert round_half_even(values, 1).tolist() == [0, 2, 2, 0, -2, -2, 2, -2]
    assert round_half_even(values, 0).tolist() == values.tolist()


def test_significand_keeps_its_error():
    rng = np.random.default_rng(2)
    x = rng.integers(-(2**52), 2**52, 20_000) >> rng.integers(0, 52, 20_000)
    x = np.append(x[x != 0], [2**17 + 1, -(2**17) - 1, 2**52 - 1, -(2**52)])
    m, s = normalize_significand(x)
    error = np.abs(np.ldexp(m.astype(float), s) / x - 1)
    assert 2**-17 < error.max() < 2**-16


@pytest.mark.parametrize("mantissa_bits", [8, 12, 16])
@pytest.mark.parametrize("base", [1, 5, 31])  # with 0, 2**31 leaves a window of 24
def test_normalize_error_is_half_an_lsb(mantissa_bits, base):
    rng = np.random.default_rng(mantissa_bits)
    z = rng.integers(-(2**31), 2**31, (500, 8)) >> rng.integers(0, 32, (500, 1))
    z[0], z[1] = FIXED_MIN, FIXED_MAX
    mantissas, exponents, saturations, flushes = normalize(
        z, base, mantissa_bits=mantissa_bits, window=24
    )
    limit = 2 ** (mantissa_bits - 1) - 1
    lsb = 2.0 ** (base + exponents)[:, None]
    assert saturations == 0
    assert np.abs(mantissas).max() <= limit
    # A block that became zero has exponent 0, so its error is also below half of its LSB.
    assert np.all(np.abs(mantissas * lsb - z) <= lsb / 2)
    # The exponent is the smallest: with one less, the largest value would not fit.
    smaller = np.abs(z).max(axis=1) / 2.0 ** (base + exponents - 1)
    assert np.all((exponents == 0) | (np.round(smaller) > limit))
    assert flushes == np.count_nonzero(~mantissas.any(axis=1) & z.any(axis=1))


def test_normalize_corners():
    def one(z, base, window=24):
        mantissas, exponents, *counts = normalize([z], base, mantissa_bits=8, window=window)
        return mantissas[0].tolist(), int(exponents[0]), *counts

    assert one([0, 0], 3) == ([0, 0], 0, 0, 0)
    assert one([127, -127], 0) == ([127, -127], 0, 0, 0)
    assert one([128, 1], 0) == ([64, 0], 1, 0, 0)
    assert one([254, 3], 0) == ([127, 2], 1, 0, 0)
    assert one([255, 0], 0) == ([64, 0], 2, 0, 0)  # 127.5 would round to 128
    assert one([4, -4], 3) == ([0, 0], 0, 0, 1)  # ties to zero: flushed
    assert one([5, 0], 3) == ([1, 0], 0, 0, 0)
    assert one([FIXED_MIN, FIXED_MAX], 0, window=4) == ([-127, 127], 4, 2, 0)
    assert one([FIXED_MIN, FIXED_MAX], 24) == ([-64, 64], 1, 0, 0)
    assert one([FIXED_MIN, 2**30], 31) == ([-1, 0], 0, 0, 0)
