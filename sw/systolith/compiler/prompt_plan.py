"""Where the tokens of a prompt lie, some of which go together through a model on the chip.

They share memories with the single tokens that follow, but for what those read: keys and values.
"""

from dataclasses import dataclass

from .causal_attention import AttentionPlaces
from .decoder_plan import DecoderPlan

__all__ = ["PromptPlan", "plan_prompt"]

LARGEST = 32
"""Most tokens at once: more of them change little."""


@dataclass(frozen=True)
class PromptPlan:
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
        """Hidden words of a token."""
        return self.plan.words(self.plan.shape.hidden)

    @property
    def activation_need(self) -> int:
        """Words altogether."""
        return max(self.powers + 2 * self.size * self.plan.powers_stride,
                   self.hidden + self.size * self.hidden_words)  # fmt: skip

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
        """Where the gates begin: of all tokens for each chunk of hidden values."""
        return self.scores

    @property
    def wide_need(self) -> int:
        """Words altogether."""
        gates = self.plan.beats(self.plan.hidden_tiles)
        return self.scores + self.size * max(2 * self.plan.scores_stride, gates)

    @property
    def attention(self) -> AttentionPlaces:
        """Where attention of the first layer lies."""
        plan = self.plan
        return AttentionPlaces(
            keys=plan.keys, key_stride=plan.key_stride, group_keys=plan.head_keys,
            values=plan.values, value_stride=plan.value_stride, group_values=plan.head_values,
            key_entries=plan.key_entries, value_entries=plan.value_entries,
            group_entries=plan.head_entries, queries=self.queries, token_words=plan.output_steps,
            head_words=plan.head_words, head_tiles=plan.head_tiles, scores=self.scores,
            scores_stride=plan.scores_stride, block_scores=self.size * plan.scores_stride,
            powers=self.powers, powers_stride=plan.powers_stride,
            block_powers=self.size * plan.powers_stride, row=self.rows - 2 * self.size,
            row_block=self.size,
        )  # fmt: skip

    @property
    def rows(self) -> int:
        """Rows of row memory: factors of norms, if they are deferred, then those of two heads."""
        return (3 if self.plan.shape.deferred else 2) * self.size

    @property
    def fits(self) -> bool:
        """Whether the memories of the chip have room for it."""
        memory, vector = self.plan.config.memory, self.plan.config.vector
        return (
            self.activation_need <= memory.activation_words
            and self.wide_need <= memory.wide_words
            and self.rows <= vector.rows
        )


def plan_prompt(plan: DecoderPlan) -> PromptPlan | None:
    """Return places of as many tokens as fit, or None if there is no room for two."""
    sizes = (1 << bits for bits in range(LARGEST.bit_length() - 1, 0, -1))
    plans = (PromptPlan(plan, size) for size in sizes if size < plan.tokens)
    return next((one for one in plans if one.fits), None)
