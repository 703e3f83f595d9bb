"""The choice of a token: its noise against float64, and its distribution."""

import math

import numpy as np
import pytest

from systolith.compiler.encoder_quantizer import factor
from systolith_sim.vector.sampler import choose, gumbel, largest, mix


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def test_noise_keeps_its_error():
    """Everywhere, and near the ends of both branches."""
    rng = np.random.default_rng(0)
    middle = 1 << 31
    bits = np.concatenate([
        rng.integers(0, 1 << 32, 100_000), np.arange(1000), (1 << 32) - 1 - np.arange(1000),
        middle + np.arange(-1000, 1000), (2 ** rng.uniform(0, 32, 30_000)).astype(np.int64),
    ])  # fmt: skip
    wanted = -np.log2(-np.log1p(-(bits + 0.5) / 2**32) / math.log(2))
    error = gumbel(bits) / 65536 - wanted
    assert 2**-17 < np.abs(error).max() <= 2**-14
    assert abs(error[:100_000].mean()) < 2**-18


def test_mixing_is_that_of_the_cipher():
    """One number at a time, in Python's integers; 2**32 - 1 in every argument, too."""
    word = (1 << 32) - 1
    for seed, position, index in ((5, 7, 9), (0, 0, 0), (word, word, word), (1 << 31, 3, 49151)):
        x, y = position, index
        for number in range(16):
            key = (seed << number | seed >> 32 - number) & word ^ number
            x = ((x >> 8 | x << 24) & word) + y & word ^ key
            y = (y << 3 | y >> 29) & word ^ x
        assert mix(seed, position, index) == x


def test_one_more_bit_of_any_argument_changes_half_of_the_noise():
    index = np.arange(1 << 14)
    plain = mix(5, 7, index)
    others = mix(4, 7, index), mix(5, 6, index), mix(5, 7, index ^ 1), mix(5, 7, index ^ 4096)
    for other in others:
        changed = np.bitwise_count(plain ^ other)
        assert abs(changed.mean() - 16) < 0.15
        assert abs(changed.var() - 8) < 0.5


def test_noise_is_even_and_no_neighbour_tells_of_it():
    bits = mix(11, 3, np.arange(1 << 16))
    assert len(np.unique(bits)) > (1 << 16) - 8
    pairs = np.bincount((bits[:-1] >> 28) * 16 + (bits[1:] >> 28), minlength=256)
    expected = pairs.sum() / 256
    # Chi-square of 255 degrees: a mean of 255, a deviation of 22.6.
    assert ((pairs - expected) ** 2 / expected).sum() < 255 + 4 * 22.6


@pytest.mark.parametrize("temperature, candidates", [(1.0, 64), (0.5, 64), (2.0, 5), (1.0, 1)])
def test_chosen_as_often_as_softmax_says(temperature, candidates):
    rng = np.random.default_rng(candidates)
    logits = np.rint(rng.normal(0, 1.5, 40) * 65536).astype(np.int64)
    sharpness = factor(math.log2(math.e) / temperature)
    draws = 1500
    counts = np.bincount(
        [choose(logits, sharpness, candidates, seed=9, position=p) for p in range(draws)],
        minlength=40,
    )
    kept = np.argsort(-logits, kind="stable")[:candidates]
    expected = draws * softmax(logits[kept] / 65536 / temperature)
    assert counts.sum() == counts[kept].sum()
    often = expected >= 5
    pool = np.append(counts[kept][often], counts[kept][~often].sum())
    wanted = np.append(expected[often], expected[~often].sum())
    chi = ((pool - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum()
    freedom = max(len(pool) - 1, 1)
    assert chi < freedom + 4 * math.sqrt(2 * freedom)


def test_first_of_equal_logits():
    logits = np.array([3, 9, 9, -5, 9]) << 16
    assert largest(logits) == 1
    assert choose(logits, factor(1.0), 1, seed=1, position=1) == 1
    two = {choose(logits, factor(1.0), 2, seed=1, position=p) for p in range(50)}
    assert two == {1, 2}


def test_seed_and_position_decide():
    logits = np.zeros(64, np.int64)
    one = [choose(logits, factor(1.0), 64, seed=1, position=p) for p in range(20)]
    assert one == [choose(logits, factor(1.0), 64, seed=1, position=p) for p in range(20)]
    assert one != [choose(logits, factor(1.0), 64, seed=2, position=p) for p in range(20)]
    assert len(set(one)) > 10
