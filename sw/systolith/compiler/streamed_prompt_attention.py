"""The part of a block of a streamed prompt that adds the attention of a layer.

Of three tokens, with two heads of keys and values::

    load     tables | K0 K1 V0 V1 heads, Q | pages K0 V0 | pages K1 V1 | output matrix ...
    row      norm norm norm                  softmax ...   softmax ...
    array           | K0 K1 V0 V1 Q | K0 V0 attention 0 | K1 V1 attention 1 | output
    vector            K0 K1 V0 V1 Q   K0 V0 attention 0   K1 V1 attention 1   residual +=
    store             K0 K1 V0 V1
"""

from systolith_hw.isa import DrainKind, Register, StoreKind
from systolith_sim.transformer.decoder import DecoderLayer
from systolith_sim.transformer.encoder import VALUE_BASE

from .causal_attention import AttentionLinks, AttentionPatches, CausalAttention, RowBlock
from .decoder_streamed_pages import PagedOperands
from .layout import log2
from .streamed_prompt_writer import BlockWriter

__all__ = ["BlockAttention"]


class BlockAttention:
    """Append the attention of a layer.

    Parameters
    ----------
    block : BlockWriter
    layer : DecoderLayer
        Any: what the instructions hold is the same in all.
    """

    def __init__(self, block: BlockWriter, layer: DecoderLayer) -> None:
        self.block = block
        self.writer = writer = block.writer
        self.program = block.program
        self.layout = block.layout
        self.plan = block.plan
        self.prompt = prompt = block.prompt
        self.layer = layer
        self.pages = PagedOperands(writer, layer, block.end, prompt.key_pages, prompt.value_pages)
        patches = AttentionPatches(
            scores=block.tokens | {"tiles_last": writer.key_tiles},
            drained=block.tokens | {"tiles_last": writer.key_tiles, "columns_last": writer.lane},
            softened={"tokens": block.row_keys, "causal": Register.POSITION},
            contexts=block.tokens | {"steps": writer.value_tiles},
            blended=block.tokens,
        )  # fmt: skip
        links = AttentionLinks(writer.summed, writer.normed, writer.written)
        self.attention = CausalAttention(
            self.program, prompt.attention, links, layer.base, patches
        )

    # -- K, V and Q --------------------------------------------------------------------------

    def project(self, *, last: bool) -> None:
        """Compute keys and values and store them, and unless it is the last layer queries."""
        block = self.block
        plan, groups = self.plan, self.plan.shape.key_heads
        block.writer.load_tables(0)
        block.norm("attention_norm")
        self.program.calc(self.writer.tile, self.writer.layer, self.writer.page)
        self._load_head(0)
        for number in range(2 * groups):
            if number + 1 < 2 * groups:
                self._load_head(number + 1)
            elif not last:
                block.load("query", "projection", 2 * groups * plan.head_tiles)
            self._multiply_head(number)
            # Memory acknowledges in order, so that the last heads of both kinds speak for all.
            told = number % groups == groups - 1 and not last
            self._store_head(number, post_outer=self.writer.stored if told else None)
        if not last:
            self._query()

    def _load_head(self, number: int) -> None:
        """Bring the weights of a head of keys, or behind these of values, to the chip."""
        block, panels = self.block, self.plan.head_tiles
        query = self.prompt.matrices["query"]  # whose panels are as long
        self.program.load(
            self.plan.shape.kind, elements=query.elements(panels),
            address=block.address("projection") + number * panels * query.panel_bytes,
            local=self.plan.keys, patches={"address": self.writer.layer}, wait_outer=block.room,
            post_outer=self.writer.arrived,
        )  # fmt: skip

    def _multiply_head(self, number: int) -> None:
        """Multiply by a head's weights; the first one waits for the norm."""
        block = self.block
        plan, writer = self.plan, self.writer
        self.program.matmul(
            steps=plan.steps, tiles=plan.head_tiles, tokens=0, operand=plan.keys,
            patches=block.tokens, wait_outer=writer.arrived,
            wait_inner=None if number else writer.normed, post_outer=block.room,
        )  # fmt: skip

    def _store_head(self, number: int, *, post_outer: int | None) -> None:
        """Store a head's keys, or values, of all tokens."""
        block = self.block
        plan, layout, layer = self.plan, self.layout, self.layer
        values, head = divmod(number, plan.shape.key_heads)
        table, name = ("value", "values") if values else ("key", "keys")
        self.program.drain(
            DrainKind.HEADS, tokens=0, tiles=plan.head_tiles, patches=block.tokens,
            scale=plan.tables[table] + head * plan.beats(plan.head_tiles),
            exponent_base=VALUE_BASE if values else layer.base, rotate=not values,
            shift=0 if values else log2(plan.angle_words),
        )  # fmt: skip
        self.program.store(
            StoreKind.STREAM, address=layout.cache(name) + head * layout.head_bytes, rows=0,
            elements=plan.head_words, row_stride=layout.page_stride,
            patches={"address": self.writer.tile, "rows": block.rows}, post_outer=post_outer,
        )  # fmt: skip

    def _query(self) -> None:
        """Compute queries."""
        block = self.block
        plan, matrix = self.plan, self.prompt.matrices["query"]
        block.multiply(matrix, 0, plan.steps, free=block.freed)
        self.program.drain(
            DrainKind.ACTIVATION, tokens=0, groups=matrix.slots, tiles=matrix.each,
            tiles_last=matrix.last, scale=plan.tables["query"], destination=self.prompt.queries,
            group_stride=self.prompt.unit_words, token_stride=plan.output_steps,
            exponent_base=self.layer.base, rotate=True, shift=log2(plan.angle_words),
            patches=block.tokens,
        )  # fmt: skip

    # -- attention ---------------------------------------------------------------------------

    def append(self) -> None:
        """Add attention to the residual, one head of keys and values after the other."""
        block = self.block
        plan, shape, writer = self.plan, self.plan.shape, self.writer
        for group in range(shape.key_heads):
            last = group + 1 == shape.key_heads
            self.pages.load(group)
            if last:
                block.load("output", "output")
                writer.load_tables(1)
            self.pages.bring_keys(group)
            self.pages.bring_values(group, post_outer=writer.written)
            heads = range(group * shape.share, (group + 1) * shape.share)
            self.attention.append([
                RowBlock(head, 0, 0, 0, 1, tells=head + 1 == shape.heads) for head in heads
            ])  # fmt: skip
        block.load("gate", "expansion")
        output = self.prompt.matrices["output"]
        block.multiply(
            output, self.prompt.queries, plan.output_steps, free=block.freed, ready=writer.written
        )
        block.add(output, "output")
