"""The choice of tokens: greedy, or with the probabilities of softmax."""

import numpy as np
import pytest

from systolith.sampling import Sampling, choose
from systolith_hw.config import ConfigError

LOGITS = np.array([1.0, 3.0, -2.0, 3.0, 2.5, 0.0])


def test_greedy_takes_the_first_of_equals():
    assert {choose(LOGITS, Sampling(seed=seed), 3) for seed in range(9)} == {1}
    assert choose(LOGITS, Sampling(temperature=2.0, top_k=1, seed=5), 3) == 1


@pytest.mark.parametrize("temperature, top_k", [(1.0, 64), (0.5, 64), (1.7, 3)])
def test_probabilities(temperature, top_k):
    """Chi-square over 3,000 choices: 20.5 is passed by chance once in a thousand times."""
    count = 3000
    sampling = Sampling(temperature=temperature, top_k=top_k, seed=7)
    chosen = np.bincount([choose(LOGITS, sampling, place) for place in range(count)], minlength=6)
    powers = np.exp(LOGITS / temperature)
    powers[np.argsort(-LOGITS, kind="stable")[top_k:]] = 0
    expected = count * powers / powers.sum()
    possible = expected > 0
    assert not chosen[~possible].any()
    assert ((chosen - expected)[possible] ** 2 / expected[possible]).sum() < 20.5


def test_depends_on_seed_and_position_alone():
    flat = np.zeros(1000)
    one = [choose(flat, Sampling(temperature=1, seed=1), place) for place in range(30)]
    assert one == [choose(flat, Sampling(temperature=1, seed=1), place) for place in range(30)]
    other = [choose(flat, Sampling(temperature=1, seed=2), place) for place in range(30)]
    assert one != other and len(set(one)) > 10


def test_top_k_keeps_the_first_of_equals():
    flat = np.zeros(100)
    sampling = Sampling(temperature=1.0, top_k=4)
    assert {choose(flat, sampling, place) for place in range(100)} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "values, sentence",
    [
        ({"temperature": -0.1}, "temperature must be in 0.01..100, or 0, .*, not -0.1"),
        ({"temperature": 0.009}, "temperature must be in .*, not 0.009"),
        ({"temperature": 101}, "temperature must be in .*, not 101"),
        ({"temperature": float("nan")}, "temperature must be .*, not nan"),
        ({"temperature": float("inf")}, "temperature must be .*, not inf"),
        ({"top_k": 0}, "top_k must be in 1..64, not 0"),
        ({"top_k": 65}, "top_k must be in 1..64, not 65"),
        ({"seed": -1}, r"seed must be in 0..2\*\*32 - 1, not -1"),
        ({"seed": 1 << 32}, "seed must be in 0"),
    ],
)
def test_bad_values(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Sampling(**values)
