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
         self.chunk, self.count, *_) = writer.scratch  # fmt: skip
        wide = self.plan.wide_stride
        first = self.plan.head_tables
        # Each matrix: scales with bias, scales without, its norm.
        self.output, self.down = first, first + 3 * wide

    def append(self) -> None:
        """Append the instructions."""
        writer, plan, program = self.writer, self.plan, self.program
        writer.read_header(self.count, Header.CONTEXTS)
        writer.meet(writer.blended, register=self.count, post=writer.tables_free)
        program.load(
            LoadKind.SCALE, address=writer.address("layers") + self.layout.block_table,
            elements=plan.block_tables, local=plan.head_tables,
            patches={"address": writer.layer}, wait_outer=writer.tables_free,
        )  # fmt: skip
        self._await_spill()
        for register in (self.words, self.context, self.residual):
            program.calc(register)
        writer.read_header(self.count, Header.TOKEN_BLOCKS)
        with program.loop(
            count_register=self.count, counter=self.remaining, initial=Register.LENGTH,
            step=-plan.token_block,
        ):  # fmt: skip
            self._block()
        writer.read_header(self.count, Header.TOKEN_BLOCKS)
        writer.meet(writer.finished, register=self.count, post=writer.tables_free)

    def _block(self) -> None:
        """Append one block of tokens."""
        writer, plan, program, layout = self.writer, self.plan, self.program, self.layout
        program.minimum(self.tokens, 0, self.remaining, plan.token_block)
        self._fetch()
        writer.load_slots(layout.head_slots, layout.block_slots, writer.slot)
        self._output()
        self._norm(self.norms[0], self.output, post_outer=writer.normed)
        writer.meet(writer.normed, count=1)
        self._feed_forward()
        self._norm(self.norms[1], self.down, post_outer=writer.finished,
                   post_inner=writer.to_store)  # fmt: skip
        if plan.resident:
            return
        program.store(
            StoreKind.WIDE, address=writer.address("residual"), rows=0,
            row_stride=layout.residual_bytes, elements=plan.wide_stride,
            local_stride=plan.wide_stride,
            patches={"address": self.residual, "rows": self.tokens},
            wait_inner=writer.to_store, post_outer=writer.stored,
        )  # fmt: skip
        context = plan.token_block * plan.head_steps
        program.calc(self.words, self.words, immediate=plan.token_block * plan.steps)
        program.calc(
            self.context, self.context,
            immediate=plan.token_block * layout.context_bytes if plan.spill else context,
        )  # fmt: skip
        program.calc(
            self.residual, self.residual, immediate=plan.token_block * layout.residual_bytes
        )

    # -- what is not on the chip -------------------------------------------------------------

    def _await_spill(self) -> None:
        """Let LOAD wait until all contexts are in external memory."""
        if not self.plan.spill:
            return
        writer = self.writer
        writer.read_header(self.count, Header.CONTEXTS)
        # Each row takes a count; nobody reads what it loads.
        self.program.load(
            LoadKind.SCALE, address=writer.address("unity"), elements=1, row_stride=0, rows=0,
            local=self.plan.spare, patches={"rows": self.count}, wait_inner=writer.spilt,
        )  # fmt: skip

    def _fetch(self) -> None:
        """Load a block's context and residual, where they are in external memory."""
        writer, plan, program, layout = self.writer, self.plan, self.program, self.layout
        if plan.spill:
            heads = 2 * plan.shape.pairs
            program.load(
                LoadKind.ACTIVATION, address=writer.address("context"),
                rows=0, elements=plan.head_steps, local=plan.context,
                local_stride=plan.head_steps,
                patches={"address": self.context, "rows": self._times(heads)},
            )  # fmt: skip
        if not plan.resident:
            # The block before it is in external memory, so its place is free; and so is what the
            # layer before has left of this one.
            program.load(
                LoadKind.WIDE, address=writer.address("residual"), rows=0,
                row_stride=layout.residual_bytes, elements=plan.wide_stride,
                local_stride=plan.wide_stride,
                patches={"address": self.residual, "rows": self.tokens},
                wait_outer=writer.stored,
            )  # fmt: skip

    def _times(self, factor: int) -> int:
        """Return a register with ``tokens`` times a constant: sums of its doubles."""
        program, double, total = self.program, self.chunk, self.count
        program.calc(total)
        for bit in range(factor.bit_length()):
            if factor >> bit & 1:
                program.calc(double, self.tokens, left=bit)
                program.calc(total, total, double)
        return total

    # -- matrices ----------------------------------------------------------------------------

    def _output(self) -> None:
        """Add the output matrix, head after head; the norm follows the last one by tokens."""
        plan, program, heads = self.plan, self.program, self.plan.shape.heads
        spill = plan.spill
        stride = 2 * plan.shape.pairs * plan.head_steps if spill else plan.head_steps
        step = plan.head_steps if spill else plan.head_queries
        offset = 0 if spill else self.context
        program.calc(self.bias)
        with self._all_but_last(heads, initial=offset, step=step):
            self._add(self.output, plan.context, stride, self.chunk)
        last = plan.context + (heads - 1) * step
        self._add(self.output, last, stride, offset, post_inner=self.writer.added)

    def _feed_forward(self) -> None:
        """Compute some hidden values after the other, and add the down matrix's part for them."""
        plan, program, chunks = self.plan, self.program, self.plan.shape.chunks
        program.calc(self.bias)
        with self._all_but_last(chunks, initial=0, step=plan.head_scales):
            self._expand(0, self.chunk)
            self._add(self.down, plan.hidden, plan.head_steps, 0, wait_inner=self.writer.hidden)
        self._expand((chunks - 1) * plan.head_scales, 0)
        self._add(self.down, plan.hidden, plan.head_steps, 0, wait_inner=self.writer.hidden,
                  post_inner=self.writer.added)  # fmt: skip

    def _all_but_last(self, count: int, *, initial: int, step: int):
        return self.program.loop(count - 1, counter=self.chunk, initial=initial, step=step)

    def _add(
        self, table: int, activation: int, stride: int, offset: int, *,
        wait_inner: int | None = None, post_inner: int | None = None,
    ) -> None:  # fmt: skip
        """Add a slot's product with words from ``activation`` plus a register on."""
        writer, plan, program = self.writer, self.plan, self.program
        program.matmul(
            steps=plan.head_steps, tiles=plan.tiles, tokens=0, ring=(0, plan.ring),
            activation=activation, activation_stride=stride,
            patches=_patches(tokens=self.tokens, operand=writer.slot, activation=offset),
            wait_outer=writer.arrived, post_outer=writer.free, wait_inner=wait_inner,
        )  # fmt: skip
        program.drain(
            DrainKind.WIDE, accumulate=True, tiles=plan.tiles, tokens=0, scale=table,
            token_stride=plan.wide_stride,
            patches={"tokens": self.tokens, "scale": self.bias}, post_inner=post_inner,
        )  # fmt: skip
        program.calc(self.bias, immediate=plan.wide_stride)
        writer.next_slot()

    def _expand(self, table: int, offset: int) -> None:
        """Compute hidden words; ``offset`` is a register added to their scales."""
        writer, plan, program = self.writer, self.plan, self.program
        program.matmul(
            steps=plan.steps, tiles=plan.head_tiles, tokens=0, ring=(0, plan.ring),
            patches={"tokens": self.tokens, "operand": writer.slot, "activation": self.words},
            wait_outer=writer.arrived, post_outer=writer.free,
        )  # fmt: skip
        program.drain(
            DrainKind.ACTIVATION, function=DrainFunction.GELU, tiles=plan.head_tiles, tokens=0,
            scale=plan.up_table + table, destination=plan.hidden, token_stride=plan.head_steps,
            exponent_base=self.base, patches=_patches(tokens=self.tokens, scale=offset),
            post_inner=writer.hidden,
        )  # fmt: skip
        writer.next_slot()

    def _norm(
        self, norm: Norm, tables: int, *, post_outer: int, post_inner: int | None = None
    ) -> None:
        """Norm the block's residual in its place, and write its words over the layer's input."""
        writer, plan = self.writer, self.plan
        self.program.norm(
            elements=plan.shape.features, inverse=norm.inverse, epsilon=norm.epsilon, back=True,
            source=0, source_stride=plan.wide_stride, destination=0, token_stride=plan.steps,
            scale=tables + 2 * plan.wide_stride, exponent_base=self.base, tokens=0,
            patches={"tokens": self.tokens, "destination": self.words},
            wait_inner=writer.added, post_outer=post_outer, post_inner=post_inner,
        )  # fmt: skip


def _patches(**registers: int) -> Patches:
    """Return patches without those of register 0, which would add nothing."""
    return {name: register for name, register in registers.items() if register}
