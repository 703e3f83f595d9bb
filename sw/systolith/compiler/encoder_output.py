"""The part of an encoder's program that adds the output matrix to a block's residual."""

from systolith_hw.isa import DrainKind, LoadKind
from systolith_sim.transformer.encoder import EncoderLayer

from ..program import Patches
from .encoder_writer import EncoderWriter

__all__ = ["OutputPart", "patches"]


class OutputPart:
    """Append what adds matrices to the residual, first of all the output matrix.

    It is added for one head after the other. Its context is on the chip, or is loaded while the
    array is busy with the head before.

    Parameters
    ----------
    writer : EncoderWriter
    layer : EncoderLayer
        Any: what the instructions hold is the same in all.
    """

    def __init__(self, writer: EncoderWriter, layer: EncoderLayer) -> None:
        self.writer = writer
        self.plan = writer.plan
        self.layout = writer.layout
        self.program = writer.program
        self.base = layer.base
        (self.tokens, self.remaining, self.words, self.context, self.residual, self.bias,
         self.chunk, self.count, self.source, self.place, self.later) = writer.scratch  # fmt: skip
        wide = self.plan.wide_stride
        first = self.plan.head_tables
        # Each matrix: scales with bias, scales without, its norm.
        self.output, self.down = first, first + 3 * wide

    def _add_output(self) -> None:
        """Add the output matrix; the norm follows the last head by tokens."""
        if self.plan.spill:
            self._add_spilt()
        else:
            self._add_from_chip()

    def _add_from_chip(self) -> None:
        """Add it with the contexts on the chip."""
        writer, plan, program, layout = self.writer, self.plan, self.program, self.layout
        if not plan.at_once:  # else all slots are loaded with the heads'
            self._load_early()
            early = layout.early_slots
            writer.ring.skip(self.place, early)
            writer.load_slots(layout.head_slots + early, layout.block_slots - early, self.place)
        heads, step = plan.shape.heads, plan.head_queries
        program.calc(self.bias)
        self._add(
            self.output, plan.context, self.context, wait_drain=writer.restored,
            post_inner=writer.summed if heads == 1 else None,
        )  # fmt: skip
        if heads == 1:
            return
        with program.loop(heads - 2, counter=self.chunk, initial=self.context, step=step):
            self._add(self.output, plan.context + step, self.chunk)
        self._add(self.output, plan.context + (heads - 1) * step, self.context,
                  post_inner=writer.summed)  # fmt: skip

    def _add_spilt(self) -> None:
        """Add it with a context that is loaded head by head.

        A part of it goes with each slot: ``place`` is where that of the next head is, ``source``
        where the next one to be loaded comes from. It is loaded while the array is busy with the
        head before, and then the slot that follows in the place of that head's.
        """
        writer, plan, program, layout = self.writer, self.plan, self.program, self.layout
        heads, early = plan.shape.heads, layout.early_slots
        self._load_early()
        program.calc(self.source, self.residual)
        program.calc(self.place)
        program.calc(self.bias)
        self._load_context()
        last = writer.summed if heads == 1 else None
        self._multiply_output(wait_drain=writer.restored, post_inner=last)
        if heads > 1:
            self._load_next(early if heads > early else None, writer.layer)
        loading = max(0, heads - early - 1)
        with program.loop(
            loading, counter=self.chunk, initial=writer.layer, step=layout.slot_bytes
        ):  # fmt: skip
            self._multiply_output()
            self._load_next(early + 1, self.chunk)
        with program.loop(max(0, heads - loading - 2)):
            self._multiply_output()
            self._load_next(None, 0)
        if heads > 1:
            self._multiply_output(post_inner=writer.summed)
        writer.ring.next()
        writer.load_slots(layout.head_slots + heads, 2 * plan.shape.chunks, writer.ring.slot)

    def _load_next(self, number: int | None, layer: int) -> None:
        """Go on to the next head, loading its context, and maybe a slot of a later one.

        That takes the place of the head's before; ``layer`` is the register that says where it is.
        """
        writer, plan, layout = self.writer, self.plan, self.layout
        end = plan.slots * plan.chunk_context
        self.program.calc(self.bias, immediate=plan.wide_stride)
        writer.ring.advance(self.place, plan.chunk_context, end)
        # In a ring of one slot that of the next head must be there before its context is.
        if plan.slots > 1:
            self._load_context()
        if number is not None:
            writer.load_slots(layout.head_slots + number, 1, writer.ring.slot, layer=layer,
                              silent=True)  # fmt: skip
        if plan.slots == 1:
            self._load_context()
        writer.ring.next()

    def _load_context(self) -> None:
        """Load the context of a head to ``place``."""
        writer, plan, program, layout = self.writer, self.plan, self.program, self.layout
        program.load(
            LoadKind.ACTIVATION, address=writer.contexts, rows=0,
            row_stride=layout.token_bytes, elements=plan.head_steps, local=plan.context,
            local_stride=plan.head_steps,
            patches={"address": self.source, "rows": self.tokens, "local": self.place},
            post_outer=writer.ring.arrived,
        )  # fmt: skip
        program.calc(self.source, self.source, immediate=layout.run_bytes)

    def _multiply_output(
        self, *, wait_drain: int | None = None, post_inner: int | None = None
    ) -> None:
        """Add the output matrix for the head whose context is at ``place``."""
        self._multiply(self.output, self.plan.context, self.place, wait_drain=wait_drain,
                       post_inner=post_inner)  # fmt: skip

    def _load_early(self) -> None:
        """Load slots that need not wait for the residual, then that; the first block's are there.

        It comes token by token behind the STORE of the block before.
        """
        writer, layout, plan = self.writer, self.layout, self.plan
        with self.program.loop(count_register=self.later):
            writer.load_slots(layout.head_slots, layout.early_slots, writer.ring.slot,
                              silent=plan.spill)  # fmt: skip
            if not plan.resident:
                writer.load_residual(self.tokens, offset=self.residual)
        self.program.calc(self.later, immediate=1)

    def _add(
        self, table: int, activation: int, offset: int, *, wait_inner: int | None = None,
        wait_drain: int | None = None, post_inner: int | None = None,
    ) -> None:  # fmt: skip
        """Add a slot's product, and go on to the next slot."""
        self._multiply(table, activation, offset, wait_inner=wait_inner, wait_drain=wait_drain,
                       post_inner=post_inner)  # fmt: skip
        if post_inner is None:
            self.program.calc(self.bias, immediate=self.plan.wide_stride)
        self.writer.ring.next()

    def _multiply(
        self, table: int, activation: int, offset: int, *, wait_inner: int | None = None,
        wait_drain: int | None = None, post_inner: int | None = None,
    ) -> None:  # fmt: skip
        """Add a slot's product with words from ``activation`` plus a register on.

        The array takes ``wait_inner`` for each token, the vector unit ``wait_drain``.

        The first one of a matrix brings the bias; ``bias`` is what the scales of others are behind.
        """
        writer, plan, program = self.writer, self.plan, self.program
        writer.ring.multiply(
            steps=plan.head_steps, tiles=plan.tiles, tokens=0, activation=activation,
            patches=patches(tokens=self.tokens, activation=offset), wait_inner=wait_inner,
        )  # fmt: skip
        program.drain(
            DrainKind.WIDE, accumulate=True, tiles=plan.tiles, tokens=0, scale=table,
            token_stride=plan.wide_stride,
            patches={"tokens": self.tokens, "scale": self.bias},
            wait_inner=wait_drain, post_inner=post_inner,
        )  # fmt: skip


def patches(**registers: int) -> Patches:
    """Return patches without those of register 0, which would add nothing."""
    return {name: register for name, register in registers.items() if register}
