"""A whole encoder in the integers of the hardware, from token numbers to the last layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import ArrayConfig

from ..vector.requantizer import FIXED_MAX, FIXED_MIN
from .encoder import EncoderLayer, Norm, Words, advance, renew

__all__ = ["EncoderModel"]


@dataclass(frozen=True)
class EncoderModel:
    """The parameters of an encoder.

    Parameters
    ----------
    words, positions : Words
        Both embeddings as words, (rows, D / R, R); any type of integers.
    norm : Norm or None
        Of their sum. Without one the sum is the residual, and ``words`` alone are what the first
        layer's matrices take: ``positions`` hold what they leave of the states of each run.
    base : int
        Fixed-point bits below exponent 0 of all words.
    layers : sequence of EncoderLayer
    norm_first : bool
        Norms leave the residual as it is. They stand before attention and feed-forward: ``norm``
        in the first layer, ``attention_norm`` between the two, and ``output_norm`` in the next
        layer; what the last one makes, nobody takes.
    """

    words: Words
    positions: Words
    norm: Norm | None
    base: int
    layers: Sequence[EncoderLayer]
    norm_first: bool = False

    def embed(
        self, array: ArrayConfig, tokens: Sequence[int], positions: Sequence[int]
    ) -> tuple[NDArray[np.int64], Words]:
        """Return one sentence's residual (S, D), and words, in front of the first layer."""
        z = self._values(self.words, tokens) + self._values(self.positions, positions)
        z = np.clip(z, FIXED_MIN, FIXED_MAX)
        if self.norm is None:
            rows = list(tokens)
            return z, Words(self.words.mantissas[rows].astype(np.int64),
                            self.words.exponents[rows].astype(np.int64))  # fmt: skip
        return renew(array, self.norm, z, self.base, back=not self.norm_first)

    def encode(
        self, array: ArrayConfig, tokens: Sequence[int], positions: Sequence[int] | None = None
    ) -> NDArray[np.int64]:
        """Return one sentence's fixed point (S, D) after the last layer.

        ``positions`` are rows of that embedding, by default 0, 1, ...
        """
        *_, last = self.states(array, tokens, positions)
        return last

    def states(
        self, array: ArrayConfig, tokens: Sequence[int], positions: Sequence[int] | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """Yield the same before the first layer, and after each."""
        positions = range(len(tokens)) if positions is None else positions
        z, words = self.embed(array, tokens, positions)
        yield z
        for layer in self.layers:
            z, words = advance(array, layer, z, words, back=not self.norm_first)
            yield z

    def _values(self, words: Words, rows: Sequence[int]) -> NDArray[np.int64]:
        mantissas = words.mantissas[list(rows)].astype(np.int64)
        exponents = words.exponents[list(rows)].astype(np.int64)
        z = mantissas << exponents[..., None] + self.base
        return np.clip(z, FIXED_MIN, FIXED_MAX).reshape(len(z), -1)
