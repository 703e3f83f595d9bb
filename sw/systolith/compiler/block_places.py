"""Where the tokens of a prompt lie that go together, wherever the model's weights are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .causal_attention import AttentionPlaces
from .decoder_plan import DecoderPlan

__all__ = ["BlockPlaces", "largest_block"]

LARGEST = 32
"""Most tokens at once: more of them change little, since the multipliers are the limit then."""


@dataclass(frozen=True)
class BlockPlaces:
    """Places of so many tokens; addresses are those of memories on the chip.

    Parameters
    ----------
    plan : DecoderPlan
    size : int
        M, a power of two.
    """

    plan: DecoderPlan
    size: int

    # -- activation memory: words of norms, then queries and probabilities, or hidden words --

    @property
    def queries(self) -> int:
        """Where the queries begin, token by token; the context takes their places."""
        return self.size * self.plan.steps

    @property
    def powers(self) -> int:
        """Where the probabilities of two heads begin."""
        return self.queries + self.size * self.plan.output_steps

    @property
    def hidden(self) -> int:
        """Where the hidden words begin, token by token."""
        return self.queries

    @property
    def hidden_words(self) -> int:
        """Hidden words of a token, of whole tiles."""
        return self.plan.tile_words(self.plan.hidden_tiles)

    # -- wide memory: angles, the residual, then the scores of two heads, or gates -----------

    @property
    def residual(self) -> int:
        """Where the residual begins."""
        return self.size * self.plan.angle_words

    @property
    def residual_stride(self) -> int:
        """Wide words of a token's residual."""
        return self.plan.beats(self.plan.tiles)

    @property
    def scores(self) -> int:
        """Where the scores begin."""
        return self.residual + self.size * self.residual_stride

    @property
    def gates(self) -> int:
        """Where the gates begin: of all tokens for each part of the hidden values."""
        return self.scores

    @property
    def attention(self) -> AttentionPlaces:
        """Where the attention of the first head of keys and values lies."""
        plan = self.plan
        return AttentionPlaces(
            keys=plan.keys, key_stride=plan.key_stride, values=plan.values,
            value_stride=plan.value_stride, key_entries=plan.key_entries,
            value_entries=plan.value_entries, queries=self.queries, token_words=plan.output_steps,
            head_words=plan.head_words, head_tiles=plan.head_tiles, scores=self.scores,
            scores_stride=plan.scores_stride, block_scores=self.size * plan.scores_stride,
            powers=self.powers, powers_stride=plan.powers_stride,
            block_powers=self.size * plan.powers_stride, row_block=self.size,
        )  # fmt: skip

    @property
    def fits(self) -> bool:
        """Whether the memories of the chip have room for it."""
        raise NotImplementedError


Places = TypeVar("Places", bound=BlockPlaces)


def largest_block(make: Callable[[int], Places], tokens: int) -> Places | None:
    """Return the places of as many tokens of a text of ``tokens`` as fit; None if two do not."""
    sizes = (1 << bits for bits in range(LARGEST.bit_length() - 1, 0, -1))
    places = (make(size) for size in sizes if size < tokens)
    return next((one for one in places if one.fits), None)
