"""The part of an encoder's program that computes the context of all heads from a streamed input.

The layer's input has no room on the chip: it comes in blocks of tokens, for each two heads anew,
and with each block their slots. K, V and queries of all tokens stay::

    load     K0 input V0 Q0 K1 V1 Q1 | K0 input V0 ...
    array            K0 V0 Q0 K1 V1 Q1 | K0 V0 ...                scores A | scores B ...
    vector            K0 V0 Q0 K1 V1 Q1 | K0 V0 ...                scores A | scores B ...

A token of the next block takes the place of one whose last query the vector unit has taken. The
probabilities lie there, too, so the next heads' input waits for the end of attention.
"""

from systolith_hw.isa import DrainKind, LoadKind, Register
from systolith_sim.transformer.encoder import VALUE_BASE

from .encoder_heads import HeadsPart
from .encoder_tables import WORD, Header, InputBlock
from .encoder_writer import EncoderWriter
from .layout import log2

__all__ = ["StreamedHeadsPart"]

PANELS = 6
"""Slots of K, V and Q of two heads."""


class StreamedHeadsPart(HeadsPart):
    """Append the context of all heads of a layer whose input is in external memory.

    Parameters
    ----------
    writer : EncoderWriter
    base, score_shift : int
        Of the layers.
    """

    def __init__(self, writer: EncoderWriter, base: int, score_shift: int) -> None:
        super().__init__(writer, base, score_shift)
        (self.count, self.tokens, self.place, self.length, self.entries, self.piece, self.pieces,
         self.panels) = self.scratch  # fmt: skip

    def append(self) -> None:
        """Append the instructions."""
        writer, plan, program, count = self.writer, self.plan, self.program, self.count
        program.load(
            LoadKind.SCALE, address=writer.address("layers"), elements=plan.head_tables,
            patches={"address": writer.layer},
        )  # fmt: skip
        writer.read_header(writer.stores, Header.STORES)
        writer.load_nothing(writer.stores, wait_inner=writer.written)
        program.calc(self.table)
        program.calc(self.panels, writer.layer)
        with program.loop(plan.shape.pairs, counter=self.head, step=2 * self._context_step):
            self._project()
            self._await_stores()
            self._load_behind_the_last()
            writer.read_header(count, Header.BLOCKS)
            with program.loop(
                count_register=count, counter=self.record, step=self.layout.tables.block_bytes
            ):
                self.attention.append(self.record, self.head)
            writer.vacate(count)

    def _await_stores(self) -> None:
        """Let LOAD wait for the same, so that all it hears of comes in order."""
        writer = self.writer
        with writer.unless_zero(writer.stores, self.count):
            writer.hold_loads(writer.caught_up)
        super()._await_stores()

    def _load_behind_the_last(self) -> None:
        """Load what comes behind the context while the last two heads' is computed."""
        last = (self.plan.shape.pairs - 1) * 2 * self._context_step
        # 1 for the last heads, whose place is `last`; others are below it, and borrow from bit 30.
        self.program.calc(self.count, self.head, immediate=(1 << 30) - last, right=30)
        with self.program.loop(count_register=self.count):
            self._look_ahead()

    # -- K, V and Q --------------------------------------------------------------------------

    def _project(self) -> None:
        """Append the projections of two heads, block by block."""
        writer, plan, program, tables = self.writer, self.plan, self.program, self.layout.tables
        count = self.count
        writer.read_table(count, tables.inputs, 0)
        with program.loop(count_register=count, counter=self.record, step=tables.input_bytes):
            self._read_block(self.tokens, InputBlock.TOKENS)
            self._load_block()
            self._read_block(self.pieces, InputBlock.PIECES)
            for half in range(2):
                self._multiply_block(wait_inner=None if half else writer.brought)
                self._drain_pieces(DrainKind.KEYS, half)
                self._multiply_block()
                self._drain_pieces(DrainKind.VALUES, half)
                self._multiply_block()
                self._drain_queries(half)
        writer.read_table(count, tables.inputs, 0)
        writer.meet(writer.projected, register=count)
        program.minimum(count, 0, Register.LENGTH, plan.input_block)
        writer.load_nothing(count, wait_inner=writer.vacant)
        program.calc(self.table, self.table, immediate=PANELS * plan.head_scales)
        program.calc(self.panels, self.panels, immediate=PANELS * self.layout.slot_bytes)

    def _read_block(self, target: int, word: InputBlock) -> None:
        """Read a word of the block's record."""
        self.writer.read_table(target, self.layout.tables.inputs + WORD * (1 + word), self.record)

    def _load_block(self) -> None:
        """Load the block and its slots; of these, first those that may be there before it is."""
        writer, plan = self.writer, self.plan
        place = self.place
        early = min(max(1, plan.slots - 1), PANELS - 1)
        writer.load_slots(0, early, writer.ring.slot, layer=self.panels)
        self._read_block(place, InputBlock.ADDRESS)
        writer.load_input(self.tokens, place)
        writer.ring.skip(place, early)
        writer.load_slots(early, PANELS - early, place, layer=self.panels)

    def _multiply_block(self, *, wait_inner: int | None = None) -> None:
        """Multiply the block by the panel in the next slot."""
        plan, ring = self.plan, self.writer.ring
        ring.multiply(
            steps=plan.steps, tiles=plan.head_tiles, tokens=0, patches={"tokens": self.tokens},
            wait_inner=wait_inner,
        )  # fmt: skip
        ring.next()

    def _drain_pieces(self, kind: DrainKind, half: int) -> None:
        """Write K or V of one head, segment by segment."""
        plan, program, config = self.plan, self.program, self.plan.config
        keys = kind == DrainKind.KEYS
        segments, units = WORD * (1 + len(InputBlock)), half * plan.units
        row = config.array.columns if keys else config.array.rows
        with program.loop(
            count_register=self.pieces, counter=self.piece, initial=self.record, step=WORD
        ):
            self.writer.read_table(self.place, self.layout.tables.inputs + segments, self.piece)
            self._split_piece(log2(row), log2(plan.key_stride) if keys else 0)
            program.drain_operands(
                kind, tiles=plan.head_tiles, tokens=0,
                scale=(3 * half + (0 if keys else 1)) * plan.head_scales,
                destination=plan.keys + units * plan.unit_keys if keys
                else plan.values + units * plan.unit_values,
                token_stride=plan.key_stride if keys else plan.value_stride,
                entries=(plan.key_entries if keys else plan.value_entries) * config.vector.lanes
                + units * plan.unit,
                offset=self.score_shift if keys else 0,
                exponent_base=self.base if keys else VALUE_BASE,
                # Entries are in the upper half of the first lane's number.
                patches={"tokens": self.length, "scale": self.table, "destination": self.place,
                         "columns_last": self.entries},
            )  # fmt: skip

    def _split_piece(self, lane_bits: int, left: int) -> None:
        """Split ``place`` into tokens, lane and entries, and the tile."""
        program, place, entries = self.program, self.place, self.entries
        program.calc(self.length, place, right=16)
        program.calc(entries, place, left=16)
        program.calc(place, place, left=32 - lane_bits)
        program.calc(place, place, right=32 - lane_bits)
        program.calc(entries, entries, place)
        program.calc(place, entries, right=16 + lane_bits, left=left)

    def _drain_queries(self, half: int) -> None:
        """Write the queries of one head; the second one's are the last that need the block."""
        writer, plan = self.writer, self.plan
        self._read_block(self.place, InputBlock.QUERIES)
        self.program.drain(
            DrainKind.ACTIVATION, tiles=plan.head_tiles, tokens=0,
            scale=(3 * half + 2) * plan.head_scales,
            destination=plan.queries + half * plan.head_queries, token_stride=plan.head_steps,
            exponent_base=self.base,
            patches={"tokens": self.tokens, "scale": self.table, "destination": self.place},
            post_inner=writer.vacant if half else None,
            post_outer=writer.projected if half else None,
        )  # fmt: skip
