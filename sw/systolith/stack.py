"""Encoder layers on the core, from states that the host brings to states that it takes back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from systolith_hw.tables import FRACTION
from systolith_sim.transformer.encoder import Words, to_words
from systolith_sim.vector.requantizer import FIXED_MAX, FIXED_MIN

from .compiler.encoder_quantizer import word_base
from .encoder import CompiledEncoder, Sentences

__all__ = ["CompiledStack", "state_words"]


def state_words(array: Any, states: NDArray[np.floating], base: int) -> tuple[Words, Words]:
    """Return states (S, D) as words, and as words what those leave of them.

    The first are what matrices take; both together are the residual, to 15 bits of the largest of
    each R features.
    """
    fixed = np.rint(np.ldexp(states.astype(np.float64), FRACTION))
    fixed = np.clip(fixed, FIXED_MIN, FIXED_MAX).astype(np.int64)
    coarse = to_words(array, fixed, base)
    values = coarse.mantissas << coarse.exponents[..., None] + base
    rest = fixed - values.reshape(len(fixed), -1)[:, : fixed.shape[1]]
    return coarse, to_words(array, rest, base)


@dataclass(frozen=True)
class CompiledStack(CompiledEncoder):
    """An encoder without embeddings, whose runs bring a row for each token.

    Sentences are arrays (S, D) of floats. Their tokens are numbered through all sentences.
    """

    made_by: ClassVar[tuple[str, ...]] = ("systolith.stack",)
    embedded: ClassVar[bool] = False

    def inputs(self, sentences: Sentences) -> dict[int, bytes]:
        """Return by address what the host writes: tables, and the states' rows.

        Raises
        ------
        ConfigError
            If they are too many or too long.
        """
        numbers = self.numbers([len(sentence) for sentence in sentences])
        layout, regions = self.layout, self.layout.regions
        tables = layout.tables.pack(numbers, layout.token_bytes, positions=False)
        config = layout.config
        words, rest = state_words(config.array, np.concatenate(list(sentences)), word_base(config))
        return {
            regions["tables"].address: tables,
            regions["words"].address: layout.rows(words),
            regions["positions"].address: layout.rows(rest),
        }

    @staticmethod
    def numbers(lengths: Sequence[int]) -> list[range]:
        """Return the numbers of each sentence's tokens."""
        ends = np.cumsum([0, *lengths]).tolist()
        return [range(*pair) for pair in zip(ends[:-1], ends[1:], strict=True)]
