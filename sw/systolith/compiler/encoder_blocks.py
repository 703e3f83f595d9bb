"""The part of an encoder's program behind attention: output matrix, norms, and feed-forward.

Tokens come in blocks whose residual is on the chip; each block takes all slots. The output matrix
is added for one head after the other, the down matrix for as many hidden values at a time, so
neither the context need be whole nor the hidden layer ever is. The first sum of a matrix brings
its bias::

    array     output 0 | output 1 | ...           | up 0 | down 0 | up 1 | down 1 | ...
    vector     residual += ...                     | GELU | residual += | GELU ...
    row                                     norm                                      norm
"""

from systolith_hw.isa import DrainFunction, DrainKind, LoadKind, Register, StoreKind
from systolith_sim.transformer.encoder import EncoderLayer, Norm

from ..program import Patches
from .encoder_tables import Header
from .encoder_writer import EncoderWriter

__all__ = ["BlocksPart"]


class BlocksPart:
    """Append what follows the context of all heads of a layer.

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
        self.norms = layer.attention_norm, layer.output_norm
        (self.tokens, self.remaining, self.words, self.context, self.residual, self.bias,
         self.chunk, self.count, self.source, self.place, self.later) = writer.scratch  # fmt: skip
        wide = self.plan.wide_stride
        first = self.plan.head_tables
        # Each matrix: scales with bias, scales without, its norm.
        self.output, self.down = first, first + 3 * wide

    def append(self) -> None:
        """Append the instructions."""
        writer, plan, program = self.writer, self.plan, self.program
        writer.read_header(self.count, Header.CONTEXTS)
        writer.meet(writer.blended, register=self.count, post=writer.attended)
        # What LOAD writes from now on may be in the place of queries and scores.
        if plan.spill:
            writer.hold_loads(writer.attended, register=self.count, wait_inner=writer.spilt)
        else:
            writer.hold_loads(writer.attended)
        self._load_touched()
        program.calc(self.words)
        program.calc(self.residual)
        program.calc(self.later)
        if not plan.spill:
            program.calc(self.context)
        writer.read_header(self.count, Header.TOKEN_BLOCKS)
        with program.loop(
            count_register=self.count, counter=self.remaining, initial=Register.LENGTH,
            step=-plan.token_block,
        ):  # fmt: skip
            self._block()
        writer.meet(writer.finished, register=self.count, post=writer.tables_free)

    def _block(self) -> None:
        """Append one block of tokens."""
        writer, plan, program, layout = self.writer, self.plan, self.program, self.layout
        program.minimum(self.tokens, 0, self.remaining, plan.token_block)
        if plan.spill:
            self._output_spilt()
        else:
            self._output()
        self._norm(self.norms[0], self.output, post_inner=writer.normed)
        self._feed_forward()
        self._norm(self.norms[1], self.down, post_inner=writer.to_store,
                   post_outer=writer.finished)  # fmt: skip
        if plan.resident:
            return
        program.store(
            StoreKind.WIDE, address=writer.address("tokens"), rows=0,
            row_stride=layout.token_bytes, elements=plan.wide_stride,
            local_stride=plan.wide_stride,
            patches={"address": self.residual, "rows": self.tokens},
            wait_inner=writer.to_store, post_inner=writer.vacated, post_outer=writer.stored,
        )  # fmt: skip
        steps = {self.words: plan.steps, self.residual: layout.token_bytes}
        if not plan.spill:
            steps[self.context] = plan.head_steps
        for register, step in steps.items():
            program.calc(register, register, immediate=plan.token_block * step)

    # -- what is not on the chip -------------------------------------------------------------

    def _load_early(self) -> None:
        """Load slots that need not wait for the residual, then that; the first block's are there.

        It comes token by token behind the STORE of the block before.
        """
        writer, layout, plan = self.writer, self.layout, self.plan
        with self.program.loop(count_register=self.later):
            writer.load_slots(layout.head_slots, layout.early_slots, writer.slot,
                              silent=plan.spill)  # fmt: skip
            if not plan.resident:
                writer.load_residual(self.tokens, offset=self.residual)
        self.program.calc(self.later, immediate=1)

    def _load_touched(self) -> None:
        """Load the rest of the first block's residual, where scores have been."""
        writer = self.writer
        if not self.plan.resident:
            writer.read_header(self.count, Header.TOUCHED)
            with writer.unless_zero(self.count, self.chunk):
                writer.load_residual(self.count, first=self.plan.untouched)

    # -- matrices ----------------------------------------------------------------------------

    def _output(self) -> None:
        """Add the output matrix, head after head; the norm follows the last one by tokens."""
        writer, plan, program, layout = self.writer, self.plan, self.program, self.layout
        if not plan.resident:  # else all slots are loaded with the heads'
            self._load_early()
            early = layout.early_slots
            writer.skip_slots(self.place, early)
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

    def _output_spilt(self) -> None:
        """Do the same with a context that is loaded head by head.

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
        writer.next_slot()
        writer.load_slots(layout.head_slots + heads, 2 * plan.shape.chunks, writer.slot)

    def _load_next(self, number: int | None, layer: int) -> None:
        """Go on to the next head, loading its context, and maybe a slot of a later one.

        That takes the place of the head's before; ``layer`` is the register that says where it is.
        """
        writer, plan, layout = self.writer, self.plan, self.layout
        end = plan.slots * plan.chunk_context
        self.program.calc(self.bias, immediate=plan.wide_stride)
        writer.advance(self.place, plan.chunk_context, end)
        # In a ring of one slot that of the next head must be there before its context is.
        if plan.slots > 1:
            self._load_context()
        if number is not None:
            writer.load_slots(layout.head_slots + number, 1, writer.slot, layer=layer,
                              silent=True)  # fmt: skip
        if plan.slots == 1:
            self._load_context()
        writer.next_slot()

    def _load_context(self) -> None:
        """Load the context of a head to ``place``."""
        writer, plan, program, layout = self.writer, self.plan, self.program, self.layout
        program.load(
            LoadKind.ACTIVATION, address=writer.contexts, rows=0,
            row_stride=layout.token_bytes, elements=plan.head_steps, local=plan.context,
            local_stride=plan.head_steps,
            patches={"address": self.source, "rows": self.tokens, "local": self.place},
            post_outer=writer.arrived,
        )  # fmt: skip
        program.calc(self.source, self.source, immediate=layout.run_bytes)

    def _multiply_output(
        self, *, wait_drain: int | None = None, post_inner: int | None = None
    ) -> None:
        """Add the output matrix for the head whose context is at ``place``."""
        self._multiply(self.output, self.plan.context, self.place, wait_drain=wait_drain,
                       post_inner=post_inner)  # fmt: skip

    def _feed_forward(self) -> None:
        """Compute some hidden values after the other, and add the down matrix's part for them."""
        writer, plan, program = self.writer, self.plan, self.program
        program.calc(self.bias)
        self._expand(0, 0, wait_inner=writer.normed)
        with program.loop(plan.shape.chunks - 1, counter=self.chunk, step=plan.head_scales):
            self._add(self.down, plan.hidden, 0, wait_inner=writer.hidden)
            self._expand(plan.head_scales, self.chunk)
        self._add(self.down, plan.hidden, 0, wait_inner=writer.hidden, post_inner=writer.summed)

    def _add(
        self, table: int, activation: int, offset: int, *, wait_inner: int | None = None,
        wait_drain: int | None = None, post_inner: int | None = None,
    ) -> None:  # fmt: skip
        """Add a slot's product, and go on to the next slot."""
        self._multiply(table, activation, offset, wait_inner=wait_inner, wait_drain=wait_drain,
                       post_inner=post_inner)  # fmt: skip
        if post_inner is None:
            self.program.calc(self.bias, immediate=self.plan.wide_stride)
        self.writer.next_slot()

    def _multiply(
        self, table: int, activation: int, offset: int, *, wait_inner: int | None = None,
        wait_drain: int | None = None, post_inner: int | None = None,
    ) -> None:  # fmt: skip
        """Add a slot's product with words from ``activation`` plus a register on.

        The array takes ``wait_inner`` for each token, the vector unit ``wait_drain``.

        The first one of a matrix brings the bias; ``bias`` is what the scales of others are behind.
        """
        writer, plan, program = self.writer, self.plan, self.program
        program.matmul(
            steps=plan.head_steps, tiles=plan.tiles, tokens=0, ring=(0, plan.ring),
            activation=activation,
            patches=_patches(tokens=self.tokens, operand=writer.slot, activation=offset),
            wait_outer=writer.arrived, post_outer=writer.free, wait_inner=wait_inner,
        )  # fmt: skip
        program.drain(
            DrainKind.WIDE, accumulate=True, tiles=plan.tiles, tokens=0, scale=table,
            token_stride=plan.wide_stride,
            patches={"tokens": self.tokens, "scale": self.bias},
            wait_inner=wait_drain, post_inner=post_inner,
        )  # fmt: skip

    def _expand(self, table: int, offset: int, *, wait_inner: int | None = None) -> None:
        """Compute hidden words; ``offset`` is a register added to their scales."""
        writer, plan, program = self.writer, self.plan, self.program
        program.matmul(
            steps=plan.steps, tiles=plan.head_tiles, tokens=0, ring=(0, plan.ring),
            patches={"tokens": self.tokens, "operand": writer.slot, "activation": self.words},
            wait_outer=writer.arrived, post_outer=writer.free, wait_inner=wait_inner,
        )  # fmt: skip
        program.drain(
            DrainKind.ACTIVATION, function=DrainFunction.GELU, tiles=plan.head_tiles, tokens=0,
            scale=plan.up_table + table, destination=plan.hidden, token_stride=plan.head_steps,
            exponent_base=self.base, patches=_patches(tokens=self.tokens, scale=offset),
            post_inner=writer.hidden,
        )  # fmt: skip
        writer.next_slot()

    def _norm(
        self, norm: Norm, tables: int, *, post_inner: int | None, post_outer: int | None = None
    ) -> None:
        """Norm the block's residual in its place, and write its words over the layer's input."""
        writer, plan = self.writer, self.plan
        self.program.norm(
            elements=plan.shape.features, inverse=norm.inverse, epsilon=norm.epsilon, back=True,
            source=0, source_stride=plan.wide_stride, destination=0, token_stride=plan.steps,
            scale=tables + 2 * plan.wide_stride, exponent_base=self.base, tokens=0,
            patches={"tokens": self.tokens, "destination": self.words},
            wait_inner=writer.summed, post_outer=post_outer, post_inner=post_inner,
        )  # fmt: skip


def _patches(**registers: int) -> Patches:
    """Return patches without those of register 0, which would add nothing."""
    return {name: register for name, register in registers.items() if register}
