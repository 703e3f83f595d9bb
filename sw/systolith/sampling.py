"""Choosing the next token from logits: the likeliest, or one by chance that anybody can repeat."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import MOST_CANDIDATES, Config, ConfigError
from systolith_hw.tables import FRACTION
from systolith_sim.vector import sampler
from systolith_sim.vector.requantizer import FIXED_MAX, FIXED_MIN
from systolith_sim.vector.row import Factor

from .compiler.encoder_quantizer import factor

__all__ = ["GREEDY", "Sampling", "choose", "choose_integers"]

SEED_BITS = 32

LEAST, MOST = 0.01, 100.0
"""Temperatures other than 0. Scores of logits up to 200 nats have their 32 bits with any of these;
lower ones take as good as always the likeliest token, and higher ones any."""


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
        if not (self.temperature == 0 or LEAST <= self.temperature <= MOST):
            raise ConfigError(
                f"temperature must be in {LEAST}..{MOST:g}, or 0, which takes the likeliest token "
                f"always, not {self.temperature}"
            )
        if not 1 <= self.top_k <= MOST_CANDIDATES:
            raise ConfigError(f"top_k must be in 1..{MOST_CANDIDATES}, not {self.top_k}")
        if not 0 <= self.seed < 1 << SEED_BITS:
            raise ConfigError(f"seed must be in 0..2**{SEED_BITS} - 1, not {self.seed}")

    @property
    def candidates(self) -> int:
        """Tokens among which one is chosen; 1 for the likeliest."""
        return self.top_k if self.temperature else 1

    @property
    def sharpness(self) -> Factor:
        """What logits are multiplied with, as the hardware takes it."""
        return factor(math.log2(math.e) / (self.temperature or 1))

    def require(self, config: Config) -> None:
        """Refuse what a core cannot do.

        Raises
        ------
        ConfigError
        """
        most = config.vector.candidates
        if self.temperature and not most:
            raise ConfigError(
                f"temperature must be 0 on this core, not {self.temperature}: its "
                "vector.candidates is 0, so it takes the likeliest token always; set "
                f"vector.candidates={MOST_CANDIDATES}"
            )
        if self.temperature and self.top_k > most:
            raise ConfigError(
                f"top_k must be at most vector.candidates, {most}, not {self.top_k}; lower it, or "
                "raise vector.candidates"
            )


GREEDY = Sampling()
"""The likeliest token always."""


def choose(logits: NDArray[np.floating], sampling: Sampling, position: int) -> int:
    """Return the token (of ``logits``, (V,) in nats) that goes to a position of the context.

    With the same noise as on the hardware, so that a seed means the same text wherever the logits
    are the same.
    """
    if sampling.candidates == 1:
        return int(np.argmax(logits))
    scaled = np.rint(np.ldexp(np.asarray(logits, np.float64), FRACTION))
    return choose_integers(np.clip(scaled, FIXED_MIN, FIXED_MAX), sampling, position)


def choose_integers(logits: NDArray, sampling: Sampling, position: int) -> int:
    """Return the same of logits of LSB 2**-16."""
    return sampler.choose(
        logits, sampling.sharpness, sampling.candidates, seed=sampling.seed, position=position
    )
