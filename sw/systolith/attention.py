"""Attention of random heads, in the integers that hardware works with, and what must come out."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import VALUE_WINDOW, Config
from systolith_hw.tables import FRACTION
from systolith_sim.transformer.encoder import VALUE_BASE, Words, attend_head, to_words
from systolith_sim.vector.normalizer import normalize

from .compiler.attention_programs import AttentionPrograms
from .compiler.encoder_quantizer import score_shift, word_base
from .product import Result

__all__ = ["Attention"]

Floats = NDArray[np.float64]

SHARPNESS = 2.0
"""Deviation of scores, in natural units: a token attends to a few others."""


@dataclass(frozen=True)
class Attention:
    """Queries, keys and values of all heads as fixed point, LSB 2**-16.

    Parameters
    ----------
    config : Config
    query, key, value : (H, S, D) int64
        Queries are such that their products with keys are scores in powers of two.
    causal : bool
        No token attends to those behind it.
    """

    config: Config
    query: NDArray[np.int64]
    key: NDArray[np.int64]
    value: NDArray[np.int64]
    causal: bool

    @classmethod
    def random(
        cls, config: Config, shape: tuple[int, int, int], *, causal: bool, seed: int
    ) -> "Attention":
        """Return heads of random numbers; ``shape`` is (H, S, D)."""
        rng = np.random.default_rng(seed)
        sharpness = SHARPNESS * math.log2(math.e) / math.sqrt(shape[-1])
        query, key, value = (
            np.rint(np.ldexp(scale * rng.normal(size=shape), FRACTION)).astype(np.int64)
            for scale in (sharpness, 1.0, 1.0)
        )
        return cls(config, query, key, value, causal)

    @property
    def base(self) -> int:
        """Fixed-point bits below exponent 0 of words and keys."""
        return word_base(self.config)

    # -- what the hardware has, and gives ----------------------------------------------------

    @property
    def _queries(self) -> Words:
        return to_words(self.config.array, self.query, self.base)

    @property
    def _keys(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Mantissas (H, S, D) and exponents (H, S)."""
        window = self.config.array.window
        return normalize(self.key, self.base, mantissa_bits=8, window=window)[:2]

    def parts(self, programs: AttentionPrograms) -> dict[int, bytes]:
        """Return external memory by address."""
        queries, (keys, key_exponents) = self._queries, self._keys
        values, value_exponents, _, _ = normalize(
            self.value, VALUE_BASE, mantissa_bits=8,
            window=min(self.config.array.window, VALUE_WINDOW),
        )  # fmt: skip
        return programs.parts(
            (queries.mantissas, queries.exponents), keys, score_shift(self.base) - key_exponents,
            values, value_exponents,
        )  # fmt: skip

    def _attend(self, value: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return fixed point (H, S, N) of values (H, S, N), by the golden model."""
        return np.stack([
            attend_head(self.config.array, *head, base=self.base,
                        score_shift=score_shift(self.base), causal=self.causal)
            for head in zip(self.query, self.key, value, strict=True)
        ])  # fmt: skip

    def expected(self) -> Result:
        """Return the context that the golden model gives, without any program."""
        words = to_words(self.config.array, self._attend(self.value), self.base)
        return Result(words.mantissas, words.exponents)

    # -- in floating point -------------------------------------------------------------------

    def to_real(self, result: Result) -> Floats:
        """Return the real numbers (H, S, D) that a context stands for."""
        assert result.exponents is not None
        mantissas, exponents = (
            part.astype(np.int64) for part in (result.mantissas, result.exponents)
        )
        return _values(Words(mantissas, exponents), self.base)

    def exact(self) -> Floats:
        """Return the context in floating point, of what was not rounded yet."""
        query, key, value = (np.ldexp(part, -FRACTION) for part in
                             (self.query, self.key, self.value))  # fmt: skip
        return self._soften(query @ key.swapaxes(-1, -2)) @ value

    def softmax_error(self) -> float:
        """Return how far a probability is from that of the same integers in floating point.

        The probabilities are the context of values that are the identity.
        """
        mantissas, exponents = self._keys
        key = np.ldexp(mantissas, exponents[..., None] + self.base - FRACTION)
        exact = self._soften(_values(self._queries, self.base) @ key.swapaxes(-1, -2))
        identity = np.eye(exact.shape[-1], dtype=np.int64) << FRACTION
        got = self._attend(np.broadcast_to(identity, exact.shape))
        return float(np.abs(np.ldexp(got, -FRACTION) - exact).max())

    def _soften(self, scores: Floats) -> Floats:
        """Return probabilities (H, S, S) of scores in powers of two."""
        if self.causal:
            scores = np.where(np.tri(scores.shape[-1], dtype=bool), scores, -np.inf)
        powers = np.exp2(scores - scores.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)


def _values(words: Words, base: int) -> Floats:
    """Return the real numbers (..., K) of words."""
    values = np.ldexp(words.mantissas, words.exponents[..., None] + base - FRACTION)
    return values.reshape(*values.shape[:-2], -1)
