"""The part of an encoder's program that computes the context of all heads.

Two heads at a time: K, V and Q of all tokens, then their rows block by block::

    array    K V Q | K V Q | scores A | scores B | context A | context B | scores A ...
    vector    K V Q | K V Q | scores A | scores B | context A | context B ...
    row                                softmax A  softmax B                   softmax A ...

``encoder_attention.py`` says why nothing of a block is overwritten too early. It is the same with K
and V of the next heads.
"""

from systolith_hw.isa import DrainKind, LoadKind, Register
from systolith_sim.transformer.encoder import VALUE_BASE

from .encoder_attention import AttentionPart, Links, Spill
from .encoder_layout import EncoderLayout
from .encoder_tables import WORD, Header
from .encoder_writer import EncoderWriter
from .layout import log2

__all__ = ["HeadsPart"]


class HeadsPart:
    """Append the context of all heads of a layer.

    Parameters
    ----------
    writer : EncoderWriter
    base, score_shift : int
        Of the layers.
    """

    def __init__(self, writer: EncoderWriter, base: int, score_shift: int) -> None:
        self.writer = writer
        self.plan = writer.plan
        self.layout: EncoderLayout = writer.layout
        self.program = writer.program
        self.base = base
        self.score_shift = score_shift
        self.head, self.table, self.record, *self.scratch = writer.scratch
        spill = Spill(writer.contexts, self.layout.token_bytes, self.layout.run_bytes, writer.spilt)
        self.attention = AttentionPart(
            writer.program, writer.plan, Links(writer.summed, writer.normed, writer.blended),
            base=base, records=writer.address("tables") + self.layout.tables.blocks,
            scratch=self.scratch, spill=spill if writer.plan.spill else None,
        )  # fmt: skip

    def append(self) -> None:
        """Append the instructions."""
        writer, plan, program = self.writer, self.plan, self.program
        program.load(
            LoadKind.SCALE, address=writer.address("layers"), elements=plan.head_tables,
            patches={"address": writer.layer},
        )  # fmt: skip
        writer.load_slots(0, self.layout.head_slots, writer.ring.slot)
        self._look_ahead()
        program.calc(self.table)
        if writer.stored is not None:
            writer.read_header(writer.stores, Header.STORES)
        with program.loop(plan.shape.pairs, counter=self.head, step=2 * self._context_step):
            self._project()
            writer.meet(writer.projected, count=2)
            self._await_stores()
            (count,) = self.scratch[:1]
            writer.read_header(count, Header.BLOCKS)
            with program.loop(
                count_register=count, counter=self.record, step=self.layout.tables.block_bytes
            ):
                self.attention.append(self.record, self.head)

    def _look_ahead(self) -> None:
        """Load what comes behind the context, as far as places are free by then."""
        writer, plan, program, layout = self.writer, self.plan, self.program, self.layout
        rows, flag, local = self.scratch[:3]
        if not plan.resident:
            if not plan.streamed:
                writer.hold_loads(writer.caught_up)
            writer.read_header(rows, Header.UNTOUCHED)
            with writer.unless_zero(rows, flag):
                writer.load_residual(rows)
        program.load(
            LoadKind.SCALE, address=writer.address("layers") + layout.block_table,
            elements=plan.block_tables, local=plan.head_tables,
            patches={"address": writer.layer}, wait_outer=writer.tables_free,
        )  # fmt: skip
        if plan.streamed:  # everything before has been asked for
            program.calc(local, writer.ring.slot)
        else:
            writer.ring.skip(local, layout.head_slots)
        writer.load_slots(
            layout.head_slots, layout.block_slots if plan.at_once else layout.early_slots, local,
            silent=plan.spill,
        )  # fmt: skip

    def _await_stores(self) -> None:
        """Before the first scores: the layer before has stored the residual in their place."""
        writer = self.writer
        if writer.stored is not None:
            with writer.unless_zero(writer.stores, self.scratch[0]):
                writer.meet(writer.stored, register=writer.stores, post=writer.caught_up)
            self.program.calc(writer.stores)

    @property
    def _context_step(self) -> int:
        """What a head's context is behind the one before: words, or bytes if spilt."""
        return self.layout.run_bytes if self.plan.spill else self.plan.head_queries

    # -- K, V and Q --------------------------------------------------------------------------

    def _project(self) -> None:
        """Append the projections of two heads, one after the other."""
        writer, plan, program = self.writer, self.plan, self.program
        queries, half, *rest = self.scratch
        writer.read_header(rest[-1], Header.SEGMENTS)
        with program.loop(2, counter=queries, step=plan.head_queries):
            # Units of the second head are counted on from those of the first.
            program.minimum(half, 0, queries, plan.units)
            self._operands(DrainKind.KEYS, half, rest)
            self._operands(DrainKind.VALUES, half, rest)
            self._multiply()
            program.drain(
                DrainKind.ACTIVATION, tiles=plan.head_tiles, scale=2 * plan.head_scales,
                destination=plan.queries, token_stride=plan.head_steps, exponent_base=self.base,
                tokens=0, post_outer=writer.projected,
                patches={"tokens": Register.LENGTH, "scale": self.table, "destination": queries},
            )  # fmt: skip
            program.calc(self.table, self.table, immediate=3 * plan.head_scales)

    def _multiply(self) -> None:
        """Multiply all tokens by the panel in the next slot."""
        plan, ring = self.plan, self.writer.ring
        ring.multiply(
            steps=plan.steps, tiles=plan.head_tiles, tokens=0, patches={"tokens": Register.LENGTH}
        )
        ring.next()

    def _operands(self, kind: DrainKind, half: int, scratch: list[int]) -> None:
        """Compute K or V of one head, and write it segment by segment."""
        plan, program, lanes = self.plan, self.program, self.plan.config.vector.lanes
        keys = kind == DrainKind.KEYS
        length, place, entries, *_, segments = scratch
        unit_tiles = plan.unit_keys if keys else plan.unit_values
        self._multiply()
        with program.loop(count_register=segments, counter=self.record, step=WORD):
            self.writer.read_table(length, self.layout.tables.segments, self.record)
            program.calc(place, length, half, left=log2(unit_tiles))
            program.calc(entries, length, half, left=log2(plan.unit))
            program.calc(length, length, right=16)
            program.drain_operands(
                kind, tiles=plan.head_tiles, tokens=0,
                scale=0 if keys else plan.head_scales,
                destination=plan.keys if keys else plan.values,
                token_stride=plan.key_stride if keys else plan.value_stride,
                entries=(plan.key_entries if keys else plan.value_entries) * lanes,
                offset=self.score_shift if keys else 0,
                exponent_base=self.base if keys else VALUE_BASE,
                patches={"tokens": length, "scale": self.table, "destination": place,
                         "entries": entries},
            )  # fmt: skip
