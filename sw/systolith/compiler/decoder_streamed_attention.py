"""The part of a streamed language model's program that adds the attention of a layer.

Of the one token, with two heads of keys and values::

    load     K V Q matrices ...      | pages K0 V0 | pages K1 V1 | output matrix ...
    array            K V Q           |   K0 V0 scores 0 | K1  context 0 | V1 scores 1 ...
    vector            K V Q          |    K0 V0 scores 0 | K1  context 0 | V1 scores 1 ...
    store             K V
    row                                             softmax 0

The position's keys and values go to external memory first, and come back with those of all others
(:mod:`.decoder_streamed_pages`).
"""

from collections.abc import Callable

from systolith_hw.isa import DrainKind, Register, StoreKind
from systolith_sim.transformer.decoder import DecoderLayer
from systolith_sim.transformer.encoder import VALUE_BASE, probability_base

from .decoder_streamed_pages import PagedOperands
from .decoder_streamed_writer import StreamedWriter
from .layout import log2

__all__ = ["StreamedAttention"]


class StreamedAttention:
    """Append the attention of a layer.

    Parameters
    ----------
    writer : StreamedWriter
    layer : DecoderLayer
        Any: what the instructions hold is the same in all.
    """

    def __init__(self, writer: StreamedWriter, layer: DecoderLayer) -> None:
        self.writer = writer
        self.layout = writer.layout
        self.plan = writer.plan
        self.program = writer.program
        self.layer = layer
        self.powers_base = probability_base(writer.plan.config.array)
        self.pages = PagedOperands(
            writer, layer, Register.POSITION, self.plan.key_pages, self.plan.value_pages
        )

    def append(self, load_next: Callable[[], None]) -> None:
        """Append the instructions; ``load_next`` those of LOAD for what is behind the heads."""
        writer, heads = self.writer, self.plan.shape.key_heads
        writer.norm(
            self.layer.norm, self.plan.tables["attention_norm"], post_outer=writer.normed
        )
        self._project()
        for head in range(heads):
            self.pages.load(head)
            if head + 1 == heads:
                load_next()
            self.pages.bring_keys(head, post_outer=writer.written)
            if head:
                self._blend(head - 1)
            self.pages.bring_values(head, post_outer=writer.written)
            self._score(head)
        self._blend(heads - 1)
        self._add()

    # -- K, V and Q --------------------------------------------------------------------------

    def _project(self) -> None:
        """Compute keys, values and queries, and store the first two."""
        writer, plan, program, layer = self.writer, self.plan, self.program, self.layer
        groups, shift = plan.shape.key_heads, log2(plan.angle_words)
        writer.multiply_by(self.layout.ring_matrices["projection"], 0, writer.normed)
        program.drain(
            DrainKind.HEADS, groups=groups, tiles=plan.head_tiles, scale=plan.tables["key"],
            exponent_base=layer.base, rotate=True, shift=shift,
        )  # fmt: skip
        program.drain(
            DrainKind.HEADS, groups=groups, tiles=plan.head_tiles, scale=plan.tables["value"],
            exponent_base=VALUE_BASE,
        )  # fmt: skip
        program.calc(writer.tile, writer.layer, writer.page)
        for name in ("keys", "values"):
            program.store(
                StoreKind.STREAM, address=self.layout.cache(name), elements=plan.head_words,
                rows=groups, row_stride=self.layout.head_bytes, patches={"address": writer.tile},
                post_outer=writer.stored,
            )  # fmt: skip
        program.drain(
            DrainKind.ACTIVATION, groups=plan.shape.heads, tiles=plan.head_tiles,
            scale=plan.tables["query"], destination=plan.queries, group_stride=plan.head_words,
            exponent_base=layer.base, rotate=True, shift=shift,
        )  # fmt: skip

    # -- scores and context ------------------------------------------------------------------

    def _score(self, head: int) -> None:
        """Compute probabilities, not yet divided by their sum."""
        writer, plan, program = self.writer, self.plan, self.program
        share = plan.shape.share
        first = head * share
        program.matmul(
            steps=plan.head_words, tokens=share, operand=plan.keys,
            operand_stride=plan.key_stride, activation=plan.queries + first * plan.head_words,
            patches={"tiles_last": writer.key_tiles}, wait_outer=writer.written,
        )  # fmt: skip
        scores = plan.scores + first * plan.scores_stride
        program.drain(
            DrainKind.WIDE, tokens=share, columns_last=1, maximum=True, row=first,
            scale=plan.key_entries, destination=scores, token_stride=plan.scores_stride,
            patches={"tiles_last": writer.key_tiles, "columns_last": writer.lane},
            post_inner=writer.summed,
        )  # fmt: skip
        program.softmax(
            elements=1, tokens=share, row=first, source=scores, source_stride=plan.scores_stride,
            scale=plan.value_entries, exponent_base=self.powers_base,
            destination=plan.powers + first * plan.powers_stride, token_stride=plan.powers_stride,
            patches={"elements": Register.POSITION}, wait_inner=writer.summed,
            post_inner=writer.normed,
        )  # fmt: skip

    def _blend(self, head: int) -> None:
        """Compute the context of the heads that share keys and values."""
        writer, plan, program = self.writer, self.plan, self.program
        share = plan.shape.share
        first = head * share
        program.matmul(
            steps=1, tokens=share, tiles=plan.head_tiles, operand=plan.values,
            operand_stride=plan.value_stride, activation=plan.powers + first * plan.powers_stride,
            activation_stride=plan.powers_stride, patches={"steps": writer.value_tiles},
            wait_outer=writer.written, wait_inner=writer.normed,
        )  # fmt: skip
        last = head + 1 == plan.shape.key_heads
        program.drain(
            DrainKind.ACTIVATION, tokens=share, tiles=plan.head_tiles, factor=True, row=first,
            offset=VALUE_BASE + self.powers_base, exponent_base=self.layer.base,
            destination=plan.context + first * plan.head_words, token_stride=plan.head_words,
            post_outer=writer.written if last else None,
        )  # fmt: skip

    def _add(self) -> None:
        """Add the output matrix."""
        self.writer.add(self.layout.ring_matrices["output"], self.plan.context, "output")
