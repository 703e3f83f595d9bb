"""The part of an encoder's program behind attention: output matrix, norms, and feed-forward.

Tokens come in blocks whose residual is on the chip; each block takes all slots. The output matrix
is added for one head after the other, the down matrix for as many hidden values at a time, so
neither the context need be whole nor the hidden layer ever is. The first sum of a matrix brings
its bias::

    array     output 0 | output 1 | ...           | up 0 | down 0 | up 1 | down 1 | ...
    vector     residual += ...                     | GELU | residual += | GELU ...
    row                                     norm                                      norm
"""

from systolith_hw.isa import DrainFunction, DrainKind, Register, StoreKind
from systolith_sim.transformer.encoder import EncoderLayer, Norm

from .encoder_output import OutputPart, patches
from .encoder_tables import Header
from .encoder_writer import EncoderWriter

__all__ = ["BlocksPart"]


class BlocksPart(OutputPart):
    """Append what follows the context of all heads of a layer.

    Parameters
    ----------
    writer : EncoderWriter
    layer : EncoderLayer
        Any: what the instructions hold is the same in all.
    back : bool
        Norms renew the residual, too.
    """

    def __init__(self, writer: EncoderWriter, layer: EncoderLayer, *, back: bool = True) -> None:
        super().__init__(writer, layer)
        self.norms = layer.attention_norm, layer.output_norm
        self.function = DrainFunction[layer.activation.upper()]
        self.back = back

    def append(self) -> None:
        """Append the instructions."""
        writer, plan, program = self.writer, self.plan, self.program
        self._await_context()
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
        if plan.streamed:  # the array has taken what is finished to external memory
            writer.vacate(self.count)
        else:
            finished = Register.LENGTH if plan.crowded else self.count
            writer.meet(writer.finished, register=finished, post=writer.tables_free)

    def _await_context(self) -> None:
        """Wait for all contexts: LOAD may write over queries and scores then."""
        writer = self.writer
        if self.plan.streamed:
            self.program.minimum(self.count, 0, Register.LENGTH, self.plan.input_block)
            writer.load_nothing(self.count, wait_inner=writer.vacant)
            writer.read_header(self.count, Header.CONTEXTS)
            writer.load_nothing(self.count, wait_inner=writer.spilt)
            return
        writer.read_header(self.count, Header.CONTEXTS)
        writer.meet(writer.blended, register=self.count, post=writer.attended)
        if self.plan.spill:
            writer.hold_loads(writer.attended, register=self.count, wait_inner=writer.spilt)
        else:
            writer.hold_loads(writer.attended)

    def _load_touched(self) -> None:
        """Load the rest of the first block's residual, where scores have been."""
        writer = self.writer
        if self.plan.crowded:
            # Those that stayed are where they belong. LOAD says so: it gives the others' counts.
            writer.read_header(self.count, Header.UNTOUCHED)
            with writer.unless_zero(self.count, self.chunk):
                writer.load_nothing(self.count, post_inner=writer.restored)
        if self.plan.moves:
            writer.read_header(self.count, Header.TOUCHED)
            with writer.unless_zero(self.count, self.chunk):
                writer.load_residual(self.count, first=self.plan.untouched)

    def _block(self) -> None:
        """Append one block of tokens."""
        writer, plan, program = self.writer, self.plan, self.program
        program.minimum(self.tokens, 0, self.remaining, plan.token_block)
        self._add_output()
        self._norm(self.norms[0], self.output, post_inner=writer.normed)
        self._feed_forward()
        by_token, at_end = writer.to_store, writer.finished
        if plan.crowded or plan.streamed:
            by_token, at_end = at_end, by_token
        self._norm(self.norms[1], self.down, post_inner=by_token, post_outer=at_end)
        if plan.crowded:
            self._store_touched()
        elif plan.streamed:
            # Words first: the residual takes longer, and the array would have to wait for it.
            writer.store_input(self.tokens, self.residual, self.chunk, self.base,
                               wait=writer.finished, post=writer.written)  # fmt: skip
            self._store_residual(wait_outer=writer.to_store)
        elif not plan.resident:
            self._store_residual(wait_inner=writer.to_store)

    def _store_residual(
        self, *, wait_outer: int | None = None, wait_inner: int | None = None
    ) -> None:
        """Store the block's residual, and go on to the next block."""
        writer, plan, program, layout = self.writer, self.plan, self.program, self.layout
        program.store(
            StoreKind.WIDE, address=writer.address("tokens"), rows=0,
            row_stride=layout.token_bytes, elements=plan.wide_stride,
            local_stride=plan.wide_stride,
            patches={"address": self.residual, "rows": self.tokens},
            wait_outer=wait_outer, wait_inner=wait_inner,
            post_inner=writer.vacated, post_outer=writer.stored,
        )  # fmt: skip
        steps = {self.residual: layout.token_bytes}
        if not plan.streamed:
            steps = {self.words: plan.steps, **steps}
        if not plan.spill:
            steps[self.context] = plan.head_steps
        for register, step in steps.items():
            program.calc(register, register, immediate=plan.token_block * step)

    def _store_touched(self) -> None:
        """Store the residual of the tokens in whose place the next scores lie."""
        writer = self.writer
        writer.read_header(self.chunk, Header.TOUCHED)
        with writer.unless_zero(self.chunk, self.bias):
            writer.store_touched(
                self.chunk, wait_outer=writer.to_store, post_inner=writer.vacated,
                post_outer=writer.stored,
            )  # fmt: skip

    def _feed_forward(self) -> None:
        """Compute some hidden values after the other, and add the down matrix's part for them."""
        writer, plan, program = self.writer, self.plan, self.program
        program.calc(self.bias)
        self._expand(0, 0, wait_inner=writer.normed)
        with program.loop(plan.shape.chunks - 1, counter=self.chunk, step=plan.head_scales):
            self._add(self.down, plan.hidden, 0, wait_inner=writer.hidden)
            self._expand(plan.head_scales, self.chunk)
        self._add(self.down, plan.hidden, 0, wait_inner=writer.hidden, post_inner=writer.summed)

    def _expand(self, table: int, offset: int, *, wait_inner: int | None = None) -> None:
        """Compute hidden words; ``offset`` is a register added to their scales."""
        writer, plan, program = self.writer, self.plan, self.program
        writer.ring.multiply(
            steps=plan.steps, tiles=plan.head_tiles, tokens=0,
            patches={"tokens": self.tokens, "activation": self.words}, wait_inner=wait_inner,
        )  # fmt: skip
        program.drain(
            DrainKind.ACTIVATION, function=self.function, tiles=plan.head_tiles, tokens=0,
            scale=plan.up_table + table, destination=plan.hidden, token_stride=plan.head_steps,
            exponent_base=self.base, patches=patches(tokens=self.tokens, scale=offset),
            post_inner=writer.hidden,
        )  # fmt: skip
        writer.ring.next()

    def _norm(
        self, norm: Norm, tables: int, *, post_inner: int | None, post_outer: int | None = None
    ) -> None:
        """Norm the block's residual, and write its words over the layer's input."""
        writer, plan = self.writer, self.plan
        self.program.norm(
            elements=plan.shape.features, inverse=norm.inverse, epsilon=norm.epsilon,
            back=self.back, source=0, source_stride=plan.wide_stride, destination=0,
            token_stride=plan.steps, scale=tables + 2 * plan.wide_stride,
            exponent_base=self.base, tokens=0,
            patches={"tokens": self.tokens, "destination": self.words},
            wait_inner=writer.summed, post_outer=post_outer, post_inner=post_inner,
        )  # fmt: skip
