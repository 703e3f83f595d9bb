"""Sums of a row and the factors made of them against float64."""

import math

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


def test_reciprocal_keeps_its_error():
    rng = np.random.default_rng(1)
    totals = [1 << 15, (1 << 31) - 1, *(2 ** rng.uniform(15, 31, 3000)).astype(int).tolist()]
    errors = [abs(real(reciprocal_factor(total)) * total - 1) for total in totals]
    assert 2**-17 < max(errors) <= 2**-14.4


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("base", [0, 4])
@pytest.mark.parametrize("length, deviation, mean", [
    (384, 1.0, 0.1), (64, 20.0, -5.0), (576, 1e-2, 0.0), (5, 3.0, 1.0), (384, 300.0, 10.0),
])  # fmt: skip
def test_normal_factor_of_the_words(length, deviation, mean, base, centre):
    """Against float64 on the very values that the words hold, rounding of words left aside."""
    array = ArrayConfig(rows=16)
    rng = np.random.default_rng(length)
    z = np.rint(rng.normal(mean, deviation, (20, length)) * 65536).astype(np.int64)
    words = to_words(array, z, base)
    held = (words.mantissas << words.exponents[..., None]).reshape(len(z), -1)[:, :length] << base
    for row, sums in zip(held, row_sums(words.mantissas, words.exponents), strict=True):
        got_mean, got = normal_factor(
            sums, factor(1 / length), base=base, epsilon=1, centre=centre
        )
        spread = math.sqrt(row.var() if centre else (row.astype(float) ** 2).mean())
        # The variance is a difference, so that its error is relative to the mean square.
        worse = (row.astype(float) ** 2).mean() / spread**2
        rounded = (1 + abs(row.mean())) / spread**2  # the mean is a whole number
        assert abs(real(got) * spread - 1) < 2**-14 * worse + rounded
        assert abs(got_mean - (row.mean() if centre else 0)) <= 1 + 2**-15 * abs(row.mean())


def test_zero_row():
    mean, got = normal_factor(
        Moments(0, 0), factor(1 / 384), base=0, epsilon=1, centre=True
    )
    assert mean == 0 and real(got) == pytest.approx(1, rel=2**-15)


def test_whole_norm_against_float():
    array = ArrayConfig(rows=16)
    rng = np.random.default_rng(7)
    z = np.rint(rng.normal(0.3, 2.0, (8, 384)) * 65536).astype(np.int64)
    gamma, beta = rng.normal(1, 0.5, 384), rng.normal(0, 0.2, 384)
    scale = [factor(abs(g) * 2.0**4) for g in gamma]  # from LSB 2**-12 to 2**-16
    words = to_words(array, z, 0)
    for row, sums in zip(z, row_sums(words.mantissas, words.exponents), strict=True):
        mean, f = normal_factor(sums, factor(1 / 384), base=0, epsilon=1, centre=True)
        got = scale_row(
            row, mean, f, scale=[g.scale for g in scale], negative=gamma < 0,
            shift=[g.shift for g in scale], bias=np.rint(beta * 65536).astype(np.int64),
        )  # fmt: skip
        wanted = (row - row.mean()) / row.std() * gamma + beta
        # 8-bit words give the moments: a few parts in a thousand for 384 values.
        assert np.abs(got / 65536 - wanted).max() < 3e-3 * np.abs(wanted).max()
