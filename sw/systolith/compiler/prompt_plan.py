"""Where the tokens of a prompt lie, some of which go together through a model on the chip.

They share memories with the single tokens that follow, but for what those read: keys and values.
"""

import dataclasses
from dataclasses import dataclass

from .block_places import BlockPlaces, largest_block
from .causal_attention import AttentionPlaces
from .decoder_plan import DecoderPlan

__all__ = ["PromptPlan", "plan_prompt"]


@dataclass(frozen=True)
class PromptPlan(BlockPlaces):
    """Places of so many tokens; their gates are together for each chunk of hidden values."""

    @property
    def activation_need(self) -> int:
        """Words altogether."""
        return max(self.powers + 2 * self.size * self.plan.powers_stride,
                   self.hidden + self.size * self.hidden_words)  # fmt: skip

    @property
    def wide_need(self) -> int:
        """Words altogether."""
        gates = self.plan.beats(self.plan.hidden_tiles)
        return self.scores + self.size * max(2 * self.plan.scores_stride, gates)

    @property
    def attention(self) -> AttentionPlaces:
        """Where attention of the first layer lies: all heads' keys and values are there."""
        plan = self.plan
        return dataclasses.replace(
            super().attention, group_keys=plan.head_keys, group_values=plan.head_values,
            group_entries=plan.head_entries, row=self.rows - 2 * self.size,
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
    return largest_block(lambda size: PromptPlan(plan, size), plan.tokens)
