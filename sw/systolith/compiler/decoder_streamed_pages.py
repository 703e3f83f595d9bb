"""How keys and values in external memory become operands: pages, then words, then tiles.

Words are multiplied by the identity, and DRAIN makes operands of the product. Mantissas and
exponents stay as they are, since an exponent was as small as its largest mantissa allowed.
"""

from systolith_hw.isa import DrainKind, LoadKind
from systolith_sim.transformer.decoder import DecoderLayer

from .decoder_streamed_writer import StreamedWriter

__all__ = ["PagedOperands"]


class PagedOperands:
    """Append what brings a head's keys and values of all positions.

    Parameters
    ----------
    writer : StreamedWriter
        Whose register ``words`` has the words of a head's pages before the last position's.
    layer : DecoderLayer
        Any: what the instructions hold is the same in all.
    last : int
        Register: the last position.
    key_pages, value_pages : int
        Where words come to in activation memory.
    """

    def __init__(
        self, writer: StreamedWriter, layer: DecoderLayer, last: int, key_pages: int,
        value_pages: int,
    ) -> None:  # fmt: skip
        self.writer = writer
        self.plan = writer.plan
        self.layer = layer
        self.last = last
        self.pages = {"keys": key_pages, "values": value_pages}

    def load(self, head: int) -> None:
        """Bring a head's pages to the chip, where those of the head before are done with."""
        writer, plan, layout = self.writer, self.plan, self.writer.layout
        for name, local in self.pages.items():
            writer.program.load(
                LoadKind.ACTIVATION, rows=1, elements=plan.head_words, local=local,
                address=layout.cache(name) + head * layout.head_bytes,
                row_stride=layout.page_stride, local_stride=plan.head_words,
                patches={"address": writer.layer, "rows": self.last},
                wait_outer=writer.unpaged if head else writer.stored, post_outer=writer.paged,
            )  # fmt: skip

    def bring_keys(self, head: int, *, post_outer: int | None = None) -> None:
        """Make operands of a head's keys."""
        plan, lanes = self.plan, self.plan.config.vector.lanes
        self._copy(head, "keys")
        self.writer.program.drain_operands(
            DrainKind.KEYS, tiles=plan.page_tiles, scale=plan.units, destination=plan.keys,
            token_stride=plan.key_stride, entries=plan.key_entries * lanes,
            offset=self.layer.score_shift, patches={"tokens": self.last}, post_outer=post_outer,
        )  # fmt: skip

    def bring_values(self, head: int, *, post_outer: int | None = None) -> None:
        """Make operands of a head's values."""
        plan, lanes = self.plan, self.plan.config.vector.lanes
        self._copy(head, "values")
        self.writer.program.drain_operands(
            DrainKind.VALUES, tiles=plan.page_tiles, scale=plan.units, destination=plan.values,
            token_stride=plan.value_stride, entries=plan.value_entries * lanes,
            patches={"tokens": self.last}, post_outer=post_outer,
        )  # fmt: skip

    def _copy(self, head: int, name: str) -> None:
        """Multiply a head's words by the identity."""
        writer, plan = self.writer, self.plan
        last = head + 1 == plan.shape.key_heads
        writer.program.matmul(
            steps=1, tokens=plan.head_words, tiles=plan.config.tiles_per_group,
            operand=plan.identity, activation=self.pages[name], patches={"tokens": writer.words},
            wait_outer=writer.paged, post_outer=None if last else writer.unpaged,
        )  # fmt: skip
