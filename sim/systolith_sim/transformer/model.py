"""A whole encoder in the integers of the hardware, from token numbers to the last layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import ArrayConfig

from ..vector.requantizer import FIXED_MAX, FIXED_MIN
from .encoder import EncoderLayer, Norm, Words, encode

__all__ = ["EncoderModel"]


@dataclass(frozen=True)
class EncoderModel:
    """The parameters of an encoder.

    Parameters
    ----------
    words, positions : Words
        Both embeddings as words, (rows, D / R, R); any type of integers.
    norm : Norm
        Of their sum.
    base : int
        Fixed-point bits below exponent 0 of all words.
    layers : sequence of EncoderLayer
    """

    words: Words
    positions: Words
    norm: Norm
    base: int
    layers: Sequence[EncoderLayer]

    def embed(self, array: ArrayConfig, tokens: Sequence[int]) -> NDArray[np.int64]:
        """Return one sentence's fixed point (S, D) in front of the first layer."""
        z = self._values(self.words, tokens) + self._values(self.positions, range(len(tokens)))
        return self.norm(array, np.clip(z, FIXED_MIN, FIXED_MAX), self.base)

    def encode(self, array: ArrayConfig, tokens: Sequence[int]) -> NDArray[np.int64]:
        """Return one sentence's fixed point (S, D) after the last layer."""
        z = self.embed(array, tokens)
        for layer in self.layers:
            z = encode(array, layer, z)
        return z

    def _values(self, words: Words, rows: Sequence[int]) -> NDArray[np.int64]:
        mantissas = words.mantissas[list(rows)].astype(np.int64)
        exponents = words.exponents[list(rows)].astype(np.int64)
        z = mantissas << exponents[..., None] + self.base
        return np.clip(z, FIXED_MIN, FIXED_MAX).reshape(len(z), -1)
