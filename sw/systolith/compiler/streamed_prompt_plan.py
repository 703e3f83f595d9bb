"""Where the tokens of a prompt lie, some of which go together through a model that is streamed.

They share memories with the single tokens that follow. In operand memory the ring of those is cut
in another way, and behind the identity matrix come first the weights of a head of keys, or of
values, which all its channels need at once, then that head's keys and values.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property

from systolith_hw.code_pages import PARAMETER_BITS, CodePage

from .block_places import BlockPlaces, largest_block
from .decoder_ring import RingMatrix
from .decoder_streamed_plan import StreamedPlan
from .slot_ring import FEWEST_SLOTS

__all__ = ["StreamedPromptPlan", "plan_streamed_prompt"]


@dataclass(frozen=True)
class StreamedPromptPlan(BlockPlaces):
    """Places of so many tokens; their gates are together for each slot.

    Parameters
    ----------
    plan : StreamedPlan
    size : int
        M, a power of two.
    unit : int
        Output tiles of a slot of queries, gates or up: a power of two, and whole words.
    """

    plan: StreamedPlan
    unit: int

    # -- operand memory ----------------------------------------------------------------------

    @cached_property
    def ring(self) -> StreamedPlan:
        """The plan whose ring all matrices but down go through; that one keeps its own."""
        slot = self.unit * self.plan.steps
        return dataclasses.replace(self.plan, slot=slot, slots=self.plan.identity // slot)

    @cached_property
    def matrices(self) -> dict[str, RingMatrix]:
        """What goes through it in each layer, from its first slot on."""
        plan, shape = self.plan, self.plan.shape
        sizes = {
            "query": (plan.steps, shape.heads * plan.head_tiles),
            "output": (plan.output_steps, plan.tiles),
            "gate": (plan.steps, plan.hidden_tiles), "up": (plan.steps, plan.hidden_tiles),
        }  # fmt: skip
        found, first = {}, 0
        for name, (steps, panels) in sizes.items():
            found[name] = RingMatrix(self.ring, steps, panels, first % self.ring.slots)
            first += found[name].slots
        return found

    @property
    def head_weights(self) -> int:
        """Tiles of the weights of a head of keys, or values, which come where keys do."""
        return self.plan.head_tiles * self.plan.steps

    # -- activation memory: words of norms, then queries, probabilities and pages, or hidden words

    @property
    def key_pages(self) -> int:
        """Where the words of a head's keys come to."""
        return self.powers + 2 * self.size * self.plan.powers_stride

    @property
    def value_pages(self) -> int:
        """Where the words of a head's values come to."""
        return self.key_pages + self.plan.tokens * self.plan.head_words

    @property
    def activation_need(self) -> int:
        """Words altogether."""
        return max(self.value_pages + self.plan.tokens * self.plan.head_words,
                   self.hidden + self.size * self.hidden_words)  # fmt: skip

    @property
    def unit_words(self) -> int:
        """Activation words of a token that a slot makes."""
        return self.unit // self.plan.config.tiles_per_group

    # -- wide memory: angles, the residual, then the scores of two heads, or gates -----------

    @property
    def last_gates(self) -> int:
        """Where those of the last slot begin, however many tokens a block has."""
        return self.gates + (self.matrices["gate"].slots - 1) * self.size * self.gate_words

    @property
    def gate_words(self) -> int:
        """Wide words of a token's gates of a slot, a power of two."""
        return self.plan.beats(self.unit)

    @property
    def wide_need(self) -> int:
        """Words altogether."""
        return max(self.scores + 2 * self.size * self.plan.scores_stride,
                   self.last_gates + self.size * self.gate_words)  # fmt: skip

    @property
    def fits(self) -> bool:
        """Whether the memories of the chip have room for it."""
        memory, vector = self.plan.config.memory, self.plan.config.vector
        return (
            self.plan.keys + self.head_weights <= memory.operand_tiles
            and self.activation_need <= memory.activation_words
            and self.wide_need <= memory.wide_words
            and 2 * self.size <= vector.rows
        )


def plan_streamed_prompt(plan: StreamedPlan) -> StreamedPromptPlan | None:
    """Return places of as many tokens as fit, or None if the tokens of prompts go one by one.

    They do where panels are no whole beats, or of codes no whole pages, so that they cannot be cut
    into slots in another way, where heads are smaller than a word, and where memories have no room
    for two tokens.
    """
    unit = _unit(plan)
    whole = all(_is_whole(plan, steps) for steps in (plan.steps, plan.output_steps))
    if not whole or unit is None or plan.head_tiles < plan.config.tiles_per_group:
        return None
    return largest_block(lambda size: StreamedPromptPlan(plan, size, unit), plan.tokens)


def _is_whole(plan: StreamedPlan, steps: int) -> bool:
    """Return whether panels of so many steps lie behind one another like one run."""
    config, kind = plan.config, plan.shape.kind
    pages = kind not in PARAMETER_BITS or (
        steps * config.array.rows % CodePage(config, kind).rows == 0
    )
    return pages and RingMatrix(plan, steps, 1, 0).panel_bytes % config.bus.data_bytes == 0


def _unit(plan: StreamedPlan) -> int | None:
    """Return the largest unit of which the ring holds two, and which suits the output matrix."""
    unit = plan.config.tiles_per_group
    found = None
    while FEWEST_SLOTS * unit * plan.steps <= plan.identity:
        slot, size = unit * plan.steps, plan.output_steps
        if size <= slot and (slot % size == 0 or slot < 2 * size):
            found = unit
        unit *= 2
    return found
