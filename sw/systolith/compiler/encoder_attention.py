"""The part of a program that computes the context of some rows of two heads.

::

    array    scores A | scores B | context A | context B | scores A ...
    vector    scores A | scores B | context A | context B ...
    row                 softmax A  softmax B               softmax A ...

The softmax of one head runs while the array is busy with the other. Scores, probabilities and rows
of a head are there once: whoever writes those of the next block comes, through semaphores and
results, behind everybody who needed those of this one, since the array has computed this block's
context before it begins the next block's scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from systolith_hw.isa import DrainKind, StoreKind
from systolith_sim.transformer.encoder import VALUE_BASE, probability_base

from ..program import Program
from .encoder_attention_plan import AttentionPlan
from .encoder_tables import WORD
from .layout import log2

__all__ = ["AttentionPart", "Links", "Spill"]


@dataclass(frozen=True)
class Links:
    """The semaphores around attention.

    Parameters
    ----------
    summed : int
        A row's scores are there.
    normed : int
        The words of a row's probabilities are there.
    blended : int or None
        The context of a block is there; two counts for each block, one for each head.
    arrived, free : int or None
        A block's queries of one head are there; they have been used.
    """

    summed: int
    normed: int
    blended: int | None = None
    arrived: int | None = None
    free: int | None = None


@dataclass(frozen=True)
class Spill:
    """Where the context goes, if it leaves the chip.

    Parameters
    ----------
    address : int
        Byte of external memory where that of the first token and head begins.
    row_stride, head_stride : int
        Bytes from token to token, and from one head's to the next one's.
    stored : int or None
        Semaphore: the context of a block and head is in external memory.
    """

    address: int
    row_stride: int
    head_stride: int
    stored: int | None = None


class AttentionPart:
    """Append blocks of rows, each described by a record in external memory.

    A record is some words of 32 bits: rows + (the last token that they attend to << 16); the first
    row's queries, in activation words + (the segment's unit << 16); if the context is spilt, bytes
    to the first row's; and with a causal mask, (tokens that the first row attends to) << 16.

    Parameters
    ----------
    program : Program
    plan : AttentionPlan
    links : Links
    base : int
        Fixed-point bits below exponent 0 of the context's words.
    records : int
        Byte of external memory where the records begin.
    scratch : sequence of int
        Seven registers, eight with a causal mask.
    spill : Spill
        Where the context goes, if not to activation memory.
    causal : bool
        No token attends to those behind it.
    """

    def __init__(
        self, program: Program, plan: AttentionPlan, links: Links, *, base: int, records: int,
        scratch: Sequence[int], spill: Spill | None = None, causal: bool = False,
    ) -> None:  # fmt: skip
        self.program = program
        self.plan = plan
        self.links = links
        self.base = base
        self.records = records
        self.spill = spill
        self.powers_base = probability_base(plan.config.array)
        self.causal = scratch[7] if causal else 0
        (self.record, self.place, self.rows, self.operand, self.count, self.last,
         self.entries) = scratch[:7]  # fmt: skip

    def append(self, record: int, contexts: int = 0) -> None:
        """Append one block of both heads.

        ``record`` is the register of bytes to its record; ``contexts`` the one that is added to
        where its context goes, in words, or in bytes if it is spilt.
        """
        program, plan, place = self.program, self.plan, self.place
        self._read(self.record, 0, record)
        self._read(place, 1, record)
        program.calc(self.rows, self.record, left=16)
        program.calc(self.rows, self.rows, right=16)
        program.calc(self.operand, place, right=16, left=log2(plan.unit_keys))
        program.calc(self.entries, place, right=16, left=log2(plan.unit_entries))
        self._find_last(record)
        for half in range(2):
            self._score(half)
            self._soften(half)
        program.calc(self.operand, place, right=16, left=log2(plan.unit_values))
        program.calc(self.count, self.record, right=16 + log2(plan.config.array.rows))
        if self.spill:
            self._read(place, 2, record)
        if contexts:
            program.calc(place, place, contexts)
        for half in range(2):
            self._blend(half)

    def _read(self, target: int, word: int, record: int) -> None:
        """Read a word of a block's record."""
        self.program.read(target, record, self.records + WORD * word)

    def _find_last(self, record: int) -> None:
        """Find the tiles before the last one, and the columns before the last one in it."""
        program, columns = self.program, self.plan.config.array.columns
        program.calc(self.count, self.record, right=16 + log2(columns))
        program.calc(self.last, self.record, right=16, left=32 - log2(columns))
        program.calc(self.last, self.last, right=32 - log2(columns))
        if self.causal:
            # DRAIN has its limit in the upper half of the last column's number.
            self._read(self.causal, 3 if self.spill else 2, record)
            program.calc(self.last, self.last, self.causal)
            program.calc(self.causal, self.causal, right=16)

    def _score(self, half: int) -> None:
        plan, program, links = self.plan, self.program, self.links
        program.matmul(
            steps=plan.head_steps, tokens=0, operand=plan.keys + half * plan.units * plan.unit_keys,
            operand_stride=plan.key_stride, activation=plan.queries + half * plan.head_queries,
            patches={"tokens": self.rows, "operand": self.operand, "activation": self.place,
                     "tiles_last": self.count},
            wait_outer=links.arrived, post_outer=links.free,
        )  # fmt: skip
        program.drain(
            DrainKind.WIDE, tokens=0, columns_last=1, maximum=True, row=half * plan.row_block,
            scale=plan.key_entries + half * plan.units * plan.unit_entries,
            destination=plan.scores + half * plan.head_scores, token_stride=plan.scores_stride,
            patches={"tokens": self.rows, "scale": self.entries, "tiles_last": self.count,
                     "columns_last": self.last},
            post_inner=links.summed,
        )  # fmt: skip

    def _soften(self, half: int) -> None:
        plan, links = self.plan, self.links
        # The record holds rows below the last element's number, as the instruction does.
        patches = {"tokens": self.record, "scale": self.entries}
        if self.causal:
            patches["causal"] = self.causal
        self.program.softmax(
            elements=1, tokens=0, row=half * plan.row_block, exponent_base=self.powers_base,
            scale=plan.value_entries + half * plan.units * plan.unit_entries,
            source=plan.scores + half * plan.head_scores, source_stride=plan.scores_stride,
            destination=plan.powers + half * plan.head_powers, token_stride=plan.powers_stride,
            patches=patches, wait_inner=links.summed, post_inner=links.normed,
        )  # fmt: skip

    def _blend(self, half: int) -> None:
        plan, program = self.plan, self.program
        program.matmul(
            steps=1, tokens=0, tiles=plan.head_tiles,
            operand=plan.values + half * plan.units * plan.unit_values,
            operand_stride=plan.value_stride, activation_stride=plan.powers_stride,
            activation=plan.powers + half * plan.head_powers,
            patches={"tokens": self.rows, "operand": self.operand, "steps": self.count},
            wait_inner=self.links.normed,
        )  # fmt: skip
        patches = {"tokens": self.rows}
        if not self.spill:
            patches["destination"] = self.place
        program.drain(
            DrainKind.STREAM if self.spill else DrainKind.ACTIVATION,
            tokens=0, tiles=plan.head_tiles, exponent_base=self.base, factor=True,
            row=half * plan.row_block, offset=VALUE_BASE + self.powers_base,
            destination=0 if self.spill else plan.context + half * plan.head_queries,
            token_stride=0 if self.spill else plan.head_steps,
            patches=patches, post_outer=self.links.blended,
        )  # fmt: skip
        if self.spill:
            program.store(
                StoreKind.STREAM, elements=plan.head_steps, rows=0,
                address=self.spill.address + half * self.spill.head_stride,
                row_stride=self.spill.row_stride,
                patches={"address": self.place, "rows": self.rows}, post_outer=self.spill.stored,
            )  # fmt: skip
