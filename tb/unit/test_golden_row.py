"""Sums of a row and the factors made of them against float64."""

import math
from fractions import Fraction

import numpy as np
import pytest

from systolith.compiler.encoder_quantizer import factor
from systolith_hw.config import ArrayConfig
from systolith_sim.transformer.encoder import to_words
from systolith_sim.vector.row import (
    Factor,
    Moments,
    invert,
    normal_factor,
    reciprocal_factor,
    row_sums,
    scale_row,
)


def real(f: Factor) -> float:
    assert 1 << 15 <= f.scale < 1 << 16
    return math.ldexp(f.scale, -f.shift)


def test_sums_are_exact():
    rng = np.random.default_rng(0)
    mantissas = rng.integers(-127, 128, (3, 40, 16))
    exponents = rng.integers(0, 25, (3, 40))
    for row, sums in enumerate(row_sums(mantissas, exponents)):
        values = [
            int(m) << int(e)
            for word, e in zip(mantissas[row], exponents[row], strict=True)
            for m in word
        ]
        assert sums == Moments(sum(values), sum(value * value for value in values))


@pytest.mark.parametrize("significand", [1 << 17, (1 << 17) + 1, 200_000, (1 << 18) - 1])
def test_invert_has_sixteen_bits(significand):
    assert 1 << 15 <= invert(significand) < 1 << 16


def test_invert_keeps_its_error():
    significands = np.arange(1 << 17, 1 << 18)
    missing = (1 << 33) / significands - [invert(int(n)) for n in significands]
    assert 0 < missing.min() and 0.999 < missing.max() <= 1


def test_reciprocal_keeps_its_error():
    rng = np.random.default_rng(1)
    ends = [(1 << bits) - 1 for bits in range(16, 33)]  # what is cut off of them is most
    totals = [*ends, *range(1 << 17, 1 << 18, 3)]
    totals += (2 ** rng.uniform(15, 31, 3000)).astype(int).tolist()
    errors = [real(reciprocal_factor(total)) * total - 1 for total in totals]
    assert -(2**-15) < min(errors) < -(2**-15.1)
    assert 2**-18 < max(errors) < 2**-17


HARD = {
    "normal": lambda rng, n: rng.normal(0.1, 1, n) * 65536,
    "narrow": lambda rng, n: rng.normal(0, 1e-2, n) * 65536,
    "broad": lambda rng, n: rng.normal(10, 300, n) * 65536,
    "large mean": lambda rng, n: (1000 + rng.normal(0, 1, n)) * 65536,
    "tiny variance": lambda rng, n: rng.integers(100, 102, n),
    "far off, of tiny variance": lambda rng, n: (1 << 24) + rng.integers(0, 2, n) * 65536,
    "all equal": lambda rng, n: np.full(n, rng.integers(-(2**31), 2**31) >> rng.integers(32)),
    "one outlier": lambda rng, n: np.where(np.arange(n) == n // 2, 2**30, rng.normal(0, 99, n)),
    "full range": lambda rng, n: rng.integers(-(2**31), 2**31, n),
    "both ends": lambda rng, n: rng.choice([-(2**31), 2**31 - 1], n),
    "zero": lambda rng, n: np.zeros(n),
}
"""Rows of n values."""

ROUGH = ArrayConfig(rows=16, window=10)
"""Words that saturate."""


def hard_rows(name, length, base, array):
    """Yield rows, the values that their words hold, and the sums of these."""
    rng = np.random.default_rng([length, len(name), base])
    z = np.rint([HARD[name](rng, length) for _ in range(20)]).astype(np.int64)
    words = to_words(array, z, base)
    held = (words.mantissas << words.exponents[..., None]).reshape(len(z), -1)[:, :length] << base
    yield from zip(z, held, row_sums(words.mantissas, words.exponents), strict=True)


def moments_of(row, centre):
    """Return mean and variance, or none and the mean square, by way of exact integers."""
    values = [int(value) for value in row]
    mean = Fraction(sum(values), len(values)) * centre
    square = Fraction(sum(value * value for value in values), len(values))
    return float(mean), float(square - mean**2)


def factor_range(mean, variance, centre, epsilon):
    """Return the least and the greatest factor that the bound of normal_factor allows."""
    off = 2**-15 * variance + (2**-13 * mean**2 + abs(mean) + 3 if centre else 1)
    low, high = 1 - 2**-14.9, 1 + 2**-14.9
    return (low / math.sqrt(variance + off + epsilon),
            high / math.sqrt(max(variance - off, 0) + epsilon))  # fmt: skip


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("array", [ArrayConfig(rows=16), ROUGH], ids=["fine", "rough"])
@pytest.mark.parametrize("length", [1, 2, 5, 64, 384, 576])
@pytest.mark.parametrize("name", HARD)
def test_normal_factor_keeps_its_error(name, length, array, centre):
    """For the values that the words hold."""
    for base, epsilon in ((0, 1), (4, 40_000)):
        for _, held, sums in hard_rows(name, length, base, array):
            mean, variance = moments_of(held, centre)
            got_mean, got = normal_factor(
                sums, factor(1 / length), base=base, epsilon=epsilon, centre=centre
            )
            assert abs(got_mean - mean) <= 0.5 + 2**-15 * abs(mean)
            low, high = factor_range(mean, variance, centre, epsilon)
            assert low <= real(got) <= high


def test_bounds_of_normal_factor_are_not_loose():
    """Rows come close to what is allowed, of mean and of factor."""
    mean_error = factor_error = 0.0
    for name in ("normal", "large mean", "all equal"):
        for _, held, sums in hard_rows(name, 576, 0, ArrayConfig(rows=16)):
            mean, variance = moments_of(held, True)
            got_mean, got = normal_factor(sums, factor(1 / 576), base=0, epsilon=1, centre=True)
            mean_error = max(mean_error, abs(got_mean - mean) / (0.5 + 2**-15 * abs(mean)))
            low, high = factor_range(mean, variance, True, 1)
            exact = 1 / math.sqrt(variance + 1)
            edge = high if real(got) > exact else low
            factor_error = max(factor_error, (real(got) - exact) / (edge - exact))
    assert mean_error > 0.3 and factor_error > 0.3


def test_zero_row():
    mean, got = normal_factor(Moments(0, 0), factor(1 / 384), base=0, epsilon=1, centre=True)
    assert mean == 0 and real(got) == pytest.approx(1, rel=2**-15)


def gammas(rng, length):
    """Return gamma as entries, gamma as they have it, and beta in fixed point."""
    gamma = rng.normal(1, 0.5, length)
    entries = [factor(abs(g) * 2.0**4) for g in gamma]  # from LSB 2**-12 to 2**-16
    fields = {
        "scale": np.array([entry.scale for entry in entries]), "negative": gamma < 0,
        "shift": np.array([entry.shift for entry in entries]),
        "bias": np.rint(rng.normal(0, 0.2, length) * 65536).astype(np.int64),
    }  # fmt: skip
    return fields, np.sign(gamma) * [real(entry) for entry in entries]


def test_scale_row_keeps_its_error():
    """With the mean and the factor that it is given."""
    rng = np.random.default_rng(0)
    fields, gamma = gammas(rng, 384)
    shares = []
    for name in HARD:
        for z, *_ in hard_rows(name, 384, 0, ArrayConfig(rows=16)):
            mean, f = round(z.mean()), factor(1 / max(z.std(), 1))
            normal = (z - mean) * real(f) * 2.0**12
            # The one outlier, but not the other values, is within a hair of 32 deviations.
            inside = np.abs(normal) < (1 << 17) - 2
            assert np.count_nonzero(~inside) <= 1
            error = np.abs(scale_row(z, mean, f, **fields) - (normal * gamma + fields["bias"]))
            bound = 0.5 + (0.5 + 2**-16 * np.abs(normal)) * np.abs(gamma)
            shares.append((error / bound)[inside].max())
    assert 0.9 < max(shares) <= 1


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("centre", [True, False])
def test_whole_norm_keeps_its_error(name, centre):
    """What the docstrings say of words, mean, factor and values together, against float64."""
    rng = np.random.default_rng(len(name))
    fields, gamma = gammas(rng, 384)
    array = ArrayConfig(rows=16)
    for z, held, sums in hard_rows(name, 384, 0, array):
        got_mean, f = normal_factor(sums, factor(1 / 384), base=0, epsilon=1, centre=centre)
        half = np.abs(held - z).max()  # at most half an LSB of the largest word
        assert half <= np.abs(z).max() / 127
        mean, variance = moments_of(z, centre)
        held_mean, held_variance = moments_of(held, centre)
        assert abs(held_mean - mean) <= half + 1e-6
        assert abs(math.sqrt(held_variance) - math.sqrt(variance)) <= half + 1e-6
        low, high = factor_range(held_mean, held_variance, centre, 1)
        exact = 1 / math.sqrt(variance + 1)
        off = half + 0.5 + 2**-15 * abs(held_mean)
        normal = (z - mean) * exact * 2.0**12
        bound = 0.5 + np.abs(gamma) * 2.0**12 * (
            np.abs(z - mean) * max(high - exact, exact - low) + centre * off * high
        )
        bound += np.abs(gamma) * (0.5 + 2**-16 * np.abs((z - got_mean) * high) * 2.0**12)
        got = scale_row(z, got_mean, f, **fields)
        # Where no deviation is left in the words, values may be beyond 32 of what they take for it.
        inside = np.abs((z - got_mean) * real(f) * 2.0**12) < (1 << 17) - 2
        wanted = normal * gamma + fields["bias"]
        assert np.all(np.abs(got - wanted)[inside] <= bound[inside])


def test_norm_of_usual_rows():
    """8-bit words give the moments: a few parts in a thousand for 384 values."""
    rng = np.random.default_rng(7)
    fields, gamma = gammas(rng, 384)
    for z, _, sums in hard_rows("normal", 384, 0, ArrayConfig(rows=16)):
        mean, f = normal_factor(sums, factor(1 / 384), base=0, epsilon=1, centre=True)
        wanted = (z - z.mean()) / z.std() * gamma * 2.0**12 + fields["bias"]
        assert np.abs(scale_row(z, mean, f, **fields) - wanted).max() < 3e-3 * np.abs(wanted).max()
