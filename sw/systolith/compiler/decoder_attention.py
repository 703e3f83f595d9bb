"""The part of a language model's program that adds the attention of a layer to the residual.

Of the one token, with two heads of keys and values::

    array    K Q V |    scores 0 | scores 1 |        context 0 | context 1 |    output
    vector     K Q V |    scores 0 | scores 1 |        context 0 | context 1 |  residual += ...
    row                         softmax 0 | softmax 1

K, Q and V are one MATMUL, whose results DRAINs take one after the other; scores begin when the
first queries are there. The heads of queries that share keys are tokens of one MATMUL.
"""

from collections.abc import Callable
from typing import TypedDict

from systolith_hw.isa import DrainKind, Register
from systolith_sim.transformer.decoder import DecoderLayer
from systolith_sim.transformer.encoder import VALUE_BASE, probability_base

from .decoder_plan import DecoderPlan
from .decoder_writer import DecoderWriter
from .layer_places import NOTHING, added
from .layout import log2

__all__ = ["AttentionPart", "turned"]


AHEAD = 2
"""Heads whose scores are asked for before probabilities are made of the first one's: issuing takes
the sequencer longer than multiplying takes the array."""


class Turned(TypedDict, total=False):
    """What a DRAIN is told of rotary positions."""

    rotate: bool
    shift: int


def turned(plan: DecoderPlan) -> Turned:
    """Return what tells a DRAIN to turn keys or queries, if positions are rotary."""
    angles = plan.angle_words
    return {"rotate": True, "shift": log2(angles)} if angles else {}


class AttentionPart:
    """Append the attention of a layer.

    Parameters
    ----------
    writer : DecoderWriter
    layer : DecoderLayer
        Any: what the instructions hold is the same in all.
    """

    def __init__(self, writer: DecoderWriter, layer: DecoderLayer) -> None:
        self.writer = writer
        self.plan = writer.plan
        self.program = writer.program
        self.layer = layer
        self.places = writer.layer
        self.powers_base = probability_base(writer.plan.config.array)

    def append(self) -> None:
        """Append the instructions."""
        self.writer.norm(self.layer.norm)
        self.project()
        self.attend()

    def attend(self, find_residual: Callable[[], None] | None = None) -> None:
        """Append all behind K, Q and V; ``find_residual`` appends what finds its place."""
        heads, groups = self.plan.shape.key_heads, self._softmax_groups()
        for place in range(heads + AHEAD):
            if place < heads:
                self._score(place)
            if place >= AHEAD:
                head = place - AHEAD
                self._drain_scores(head)
                if head in groups:
                    self._soften(head, groups[head])
        for head, count in groups.items():
            self._blend(head, count)
        if find_residual:
            find_residual()
        self._add()

    # -- K, Q and V --------------------------------------------------------------------------

    def project(self, chosen: int | None = None) -> None:
        """Compute keys, queries and values of words that are there; the array is told of each head
        of queries.

        They are those of the token that VECTOR has chosen, with ``chosen``, the semaphore that
        tells so.
        """
        plan, opening = self.plan, self.writer.opening
        words = NOTHING
        if opening:
            words = opening.words if chosen is None else opening.half
        self.program.matmul(
            steps=plan.steps, tiles=plan.projection_tiles,
            activation=plan.openings if opening else 0,
            numbered=0 if chosen is None else plan.opening_tables.word_stride,
            patches=added(operand=self.places.tile, activation=words),
            wait_outer=opening.loaded if opening else self.writer.normed, wait_inner=chosen,
        )  # fmt: skip
        self._drain_projections()

    def _drain_projections(self) -> None:
        """Take keys, queries and values."""
        writer, plan, program, layer = self.writer, self.plan, self.program, self.layer
        lanes = plan.config.vector.lanes
        alone = 1 if layer.norm.deferred else plan.shape.key_heads  # with the wait for its factor
        self._drain_keys(0, alone)
        if plan.shape.key_heads > alone:
            self._drain_keys(alone, plan.shape.key_heads - alone)
        program.drain(
            DrainKind.ACTIVATION, groups=plan.shape.heads, tiles=plan.head_tiles,
            scale=plan.tables["query"], destination=plan.queries, group_stride=plan.head_words,
            exponent_base=layer.base, patches=added(scale=self.places.entry),
            post_outer=writer.written, **turned(plan), **writer.behind_norm(layer.norm),
        )  # fmt: skip
        program.drain_operands(
            DrainKind.VALUES, groups=plan.shape.key_heads, tiles=plan.head_tiles,
            scale=plan.tables["value"], destination=plan.values, token_stride=plan.value_stride,
            group_stride=plan.head_values, entries=plan.value_entries * lanes,
            entries_stride=plan.head_entries * lanes, exponent_base=VALUE_BASE,
            patches=added(scale=self.places.entry, destination=self.places.values,
                          columns_last=writer.row, entries=self.places.exponents),
            **writer.behind_norm(layer.norm),
        )  # fmt: skip

    def _drain_keys(self, head: int, count: int) -> None:
        """Write the keys of so many heads. The first waits for the norm's factor, if any."""
        writer, plan, layer = self.writer, self.plan, self.layer
        lanes = plan.config.vector.lanes
        self.program.drain_operands(
            DrainKind.KEYS, groups=count, tiles=plan.head_tiles,
            scale=plan.tables["key"] + head * plan.beats(plan.head_tiles),
            destination=plan.keys + head * plan.head_keys, token_stride=plan.key_stride,
            group_stride=plan.head_keys,
            entries=(plan.key_entries + head * plan.head_entries) * lanes,
            entries_stride=plan.head_entries * lanes, offset=layer.score_shift,
            exponent_base=layer.base,
            patches=added(scale=self.places.entry, destination=self.places.keys,
                          columns_last=writer.lane, entries=self.places.exponents),
            **turned(plan), **writer.behind_norm(layer.norm, first=head == 0),
        )  # fmt: skip

    # -- scores and context ------------------------------------------------------------------

    def _score(self, head: int) -> None:
        """Multiply the queries that share keys by them."""
        writer, plan, share = self.writer, self.plan, self.plan.shape.share
        self.program.matmul(
            steps=plan.head_words, tokens=share, operand=plan.keys + head * plan.head_keys,
            operand_stride=plan.key_stride,
            activation=plan.queries + head * share * plan.head_words,
            patches=added(operand=self.places.tile, tiles_last=writer.key_tiles),
            wait_inner=writer.written,
        )  # fmt: skip

    def _softmax_groups(self) -> dict[int, int]:
        """Return of the first head of each SOFTMAX how many heads of keys are its tokens."""
        plan = self.plan
        if plan.shape.share > 1:  # heads of queries, which have the same scale words
            return dict.fromkeys(range(plan.shape.key_heads), 1)
        counts = plan.head_groups
        return {end - count: count for end, count in zip(plan.head_ends, counts, strict=True)}

    def _drain_scores(self, head: int) -> None:
        """Take the scores of the queries that share keys, and find the largest of each."""
        writer, plan, program = self.writer, self.plan, self.program
        share = plan.shape.share
        first = head * share
        scores = plan.scores + first * plan.scores_stride
        program.drain(
            DrainKind.WIDE, tokens=share, columns_last=1, maximum=True, row=writer.head_row + first,
            scale=plan.key_entries + head * plan.head_entries,
            destination=scores, token_stride=plan.scores_stride,
            patches=added(scale=self.places.entry, tiles_last=writer.key_tiles,
                          columns_last=writer.lane),
            post_inner=writer.summed,
        )  # fmt: skip

    def _soften(self, head: int, count: int) -> None:
        """Make probabilities of the scores of so many heads, not yet divided by their sum."""
        writer, plan, program = self.writer, self.plan, self.program
        first = head * plan.shape.share
        program.softmax(
            elements=1, tokens=count * plan.shape.share, row=writer.head_row + first,
            source=plan.scores + first * plan.scores_stride, source_stride=plan.scores_stride,
            scale=plan.value_entries + head * plan.head_entries,
            scale_stride=plan.head_entries if count > 1 else 0, exponent_base=self.powers_base,
            destination=plan.powers + first * plan.powers_stride, token_stride=plan.powers_stride,
            patches=added(elements=Register.POSITION, scale=self.places.entry),
            wait_inner=writer.summed, post_inner=writer.normed, post_outer=writer.softened,
        )  # fmt: skip

    def _blend(self, head: int, count: int) -> None:
        """Compute the context of the heads that share so many heads of keys and values."""
        writer, plan, program = self.writer, self.plan, self.program
        first, share = head * plan.shape.share, plan.shape.share
        for number in range(head, head + count):
            self._weigh(number)
        program.drain(
            DrainKind.ACTIVATION, tokens=count * share, tiles=plan.head_tiles, factor=True,
            row=writer.head_row + first, offset=VALUE_BASE + self.powers_base,
            exponent_base=self.layer.base, destination=plan.context + first * plan.head_words,
            token_stride=plan.head_words, wait_outer=writer.softened,
            post_outer=writer.written if head + count in plan.head_ends else None,
        )  # fmt: skip

    def _weigh(self, head: int) -> None:
        """Multiply probabilities by the values of a head."""
        writer, plan, program = self.writer, self.plan, self.program
        share = plan.shape.share
        first = head * share
        program.matmul(
            steps=1, tokens=share, tiles=plan.head_tiles,
            operand=plan.values + head * plan.head_values, operand_stride=plan.value_stride,
            activation=plan.powers + first * plan.powers_stride,
            activation_stride=plan.powers_stride,
            patches=added(operand=self.places.tile, steps=writer.value_tiles),
            wait_inner=writer.normed,
        )  # fmt: skip

    # -- output matrix -----------------------------------------------------------------------

    def _add(self) -> None:
        """Add the output matrix chunk by chunk."""
        plan, opening = self.plan, self.writer.opening
        words = [count * plan.shape.share * plan.head_words for count in plan.head_groups]
        self.writer.add(
            words, plan.output_matrix, plan.context, plan.tables["output"],
            wait_outer=opening.summed if opening else None,
        )  # fmt: skip
