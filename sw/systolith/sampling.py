"""Choosing the next token from logits: the likeliest, or one by chance that anybody can repeat."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import ConfigError

__all__ = ["MOST_CANDIDATES", "Sampling", "choose"]

MOST_CANDIDATES = 64
SEED_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are chosen.

    Parameters
    ----------
    temperature : float
        Logits are divided by it. 0: the likeliest token always.
    top_k : int
        So many of the likeliest tokens are candidates.
    seed : int
    """

    temperature: float = 0.0
    top_k: int = MOST_CANDIDATES
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no choice, with a sentence."""
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ConfigError(
                f"temperature must be a number of at least 0, not {self.temperature}; 0 takes the "
                "likeliest token always"
            )
        if not 1 <= self.top_k <= MOST_CANDIDATES:
            raise ConfigError(f"top_k must be in 1..{MOST_CANDIDATES}, not {self.top_k}")
        if not 0 <= self.seed < 1 << SEED_BITS:
            raise ConfigError(f"seed must be in 0..2**{SEED_BITS} - 1, not {self.seed}")


def choose(logits: NDArray[np.floating], sampling: Sampling, position: int) -> int:
    """Return the token (of ``logits``, (V,)) that goes to a position of the context.

    Of equal logits the first counts as the largest. With a temperature it is the Gumbel-max trick:
    the largest of logit / temperature + noise has the probabilities of softmax. The noise depends
    on seed, position and token alone.
    """
    if sampling.temperature == 0:
        return int(np.argmax(logits))
    candidates = np.argsort(-logits, kind="stable")[: sampling.top_k]
    noise = _gumbel(sampling.seed, position, len(logits))[candidates]
    return int(candidates[np.argmax(logits[candidates] / sampling.temperature + noise)])


def _gumbel(seed: int, position: int, count: int) -> NDArray[np.float64]:
    """Return noise for all tokens at a position, from a generator that only counts (Philox)."""
    bits = np.random.Philox(key=seed, counter=[0, 0, position, 0]).random_raw(count)
    uniform = ((bits >> np.uint64(11)) + 0.5) * 2.0**-53  # never 0, never 1
    return -np.log(-np.log(uniform))
