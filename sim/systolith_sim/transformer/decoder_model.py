"""A whole language model in the integers of the hardware, from token numbers to logits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import ArrayConfig
from systolith_hw.tables import FRACTION

from ..vector.requantizer import FIXED_MAX, FIXED_MIN
from .decoder import DecoderLayer, RotaryRows, advance
from .decoder_reference import KeyValueCache
from .encoder import Linear, Words
from .row_norm import RowNorm

__all__ = ["DecoderModel"]


@dataclass(frozen=True)
class DecoderModel:
    """The parameters of a language model.

    Parameters
    ----------
    array : ArrayConfig
        Whose integers these are.
    fraction : int
        The residual has LSB ``2**-fraction``.
    embedding : Words
        (V, N / R, R), any type of integers, with the LSB of the residual at base ``base``.
    positions : Words or None
        Learned positions (context, N / R, R), added to the embedding.
    rotary : pair of (context, D) int64, or None
        :func:`systolith_sim.vector.rotary.rotary_table`.
    layers : sequence of DecoderLayer
    norm : RowNorm
    head : Linear
        To logits of LSB 2**-16.
    base : int
        Fixed-point bits below exponent 0 of all words.
    """

    array: ArrayConfig
    fraction: int
    embedding: Words
    positions: Words | None
    rotary: RotaryRows | None
    layers: Sequence[DecoderLayer]
    norm: RowNorm
    head: Linear
    base: int

    def logits(
        self, tokens: Sequence[int], cache: KeyValueCache | None = None
    ) -> NDArray[np.float64]:
        """Return logits (S, V) in nats, of S more tokens, or of one document from position 0."""
        if cache is None:
            cache = KeyValueCache(len(self.layers))
        return np.ldexp(self.advance(tokens, cache).astype(np.float64), -FRACTION)

    def advance(self, tokens: Sequence[int], cache: KeyValueCache) -> NDArray[np.int64]:
        """Return logits (S, V), LSB 2**-16, of S more tokens; ``cache`` has those before."""
        return self.head(self.last_words(tokens, cache))

    def last_words(self, tokens: Sequence[int], cache: KeyValueCache) -> Words:
        """Return what the head is multiplied by for S more tokens: words behind the last norm."""
        first, end = cache.length, cache.length + len(tokens)
        z = self.residual(tokens, range(first, end))
        rows = None
        if self.rotary is not None:
            cosine, sine = self.rotary
            rows = cosine[first:end], sine[first:end]
        for number, layer in enumerate(self.layers):
            z = advance(self.array, layer, z, cache, number, rows)
        return self.norm(self.array, z)

    def residual(self, tokens: Sequence[int], positions: Sequence[int]) -> NDArray[np.int64]:
        """Return what layers begin with, fixed point (S, N), of tokens at positions."""
        z = self._values(self.embedding, tokens)
        if self.positions is None:
            return z
        return np.clip(z + self._values(self.positions, positions), FIXED_MIN, FIXED_MAX)

    def _values(self, words: Words, rows: Sequence[int]) -> NDArray[np.int64]:
        """Return the fixed point (S, N) of an embedding's rows."""
        mantissas = words.mantissas[list(rows)].astype(np.int64)
        exponents = words.exponents[list(rows)].astype(np.int64)
        z = mantissas << exponents[..., None] + self.base
        return np.clip(z, FIXED_MIN, FIXED_MAX).reshape(len(z), -1)[:, : self.norm.features]
