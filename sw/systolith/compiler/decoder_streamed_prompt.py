"""The part of a streamed language model's program that takes a prompt's tokens through it in
blocks: all weights but the head's come once for each block.

Keys and values go where single tokens put them. Of a layer, with two heads of keys and values::

    load     tables | K0 K1 V0 V1 heads, Q | pages K0 V0 | pages K1 V1 | output, gate, up | down
    row      norm                            softmax ...   softmax ...        norm
    array           | K0 K1 V0 V1 Q | attention 0 | attention 1 | output | gate | up | down
    vector            K0 K1 V0 V1 Q   attention 0   attention 1   residual += ...     residual +=
    store             K0 K1 V0 V1

The last layer ends with keys and values, since nobody needs what would come behind them. A token
that would be a block by itself is left to those that go one by one.
"""

from systolith_hw.isa import DrainFunction, DrainKind, LoadKind, Register, StoreKind
from systolith_sim.transformer.decoder import DecoderLayer, GatedHidden
from systolith_sim.transformer.encoder import VALUE_BASE

from .causal_attention import AttentionLinks, AttentionPatches, CausalAttention, RowBlock
from .decoder_ring import RingMatrix
from .decoder_streamed_pages import PagedOperands
from .decoder_streamed_writer import StreamedWriter
from .decoder_writer import WORD_BITS
from .layout import log2
from .streamed_prompt_plan import StreamedPromptPlan

__all__ = ["StreamedPrompt"]

UPPER = 16
"""Bits by which a number is shifted to be added to the slot behind another one."""


class StreamedPrompt:
    """Append the blocks of a prompt, from the register POSITION on, which then is behind them.

    Parameters
    ----------
    writer : StreamedWriter
        Of the tokens that follow, whose registers are found anew behind the prompt. Of a block,
        ``page`` is that of its first token; ``words``, ``key_tiles`` and ``value_tiles`` are those
        of its last one, and in ``lane`` that one's lane in keys has the first one's position above
        it, in the upper half.
    prompt : StreamedPromptPlan
    layer : DecoderLayer
        Any: what the instructions hold is the same in all.
    remaining : int
        Register: tokens to be taken.
    scratch : tuple of int
        Three more registers.

    Attributes
    ----------
    rows : int
        Register: tokens of the block.
    end : int
        Register: the last one's position.
    row_keys : int
        Register: tokens of the block; in the upper half the last one's position.
    gates : int
        Register: wide words of the gates of a slot.
    freed : int
        Semaphore, for LOAD: a slot of the block's ring is free.
    room : int
        Semaphore, for LOAD: the place for weights of a head of keys, or values, is free.
    expanded : int
        Semaphore, for LOAD: nothing is in the block's ring any more.
    """

    def __init__(
        self, writer: StreamedWriter, prompt: StreamedPromptPlan, layer: DecoderLayer,
        remaining: int, scratch: tuple[int, int, int],
    ) -> None:  # fmt: skip
        assert isinstance(layer.hidden, GatedHidden)
        self.writer = writer
        self.program = program = writer.program
        self.layout = writer.layout
        self.plan = writer.plan
        self.prompt = prompt
        self.layer = layer
        self.shift = layer.hidden.shift
        self.remaining = remaining
        self.rows, self.row_keys, self.end = scratch
        self.gates = program.register("wide words of the gates of a slot")
        self.freed = program.semaphore("a slot of the block's ring is free")
        self.room = program.semaphore("the place for weights of a head is free")
        self.expanded = program.semaphore("nothing is in the block's ring")
        self.tokens = {"tokens": self.rows}
        self.pages = PagedOperands(
            writer, layer, self.end, prompt.key_pages, prompt.value_pages
        )
        patches = AttentionPatches(
            scores=self.tokens | {"tiles_last": writer.key_tiles},
            drained=self.tokens | {"tiles_last": writer.key_tiles, "columns_last": writer.lane},
            softened={"tokens": self.row_keys, "causal": Register.POSITION},
            contexts=self.tokens | {"steps": writer.value_tiles},
            blended=self.tokens,
        )  # fmt: skip
        links = AttentionLinks(writer.summed, writer.normed, writer.written)
        self.attention = CausalAttention(program, prompt.attention, links, layer.base, patches)

    def append(self) -> None:
        """Append all blocks."""
        program, writer, size = self.program, self.writer, self.prompt.size
        program.credit(self.freed, self.prompt.ring.slots)
        program.credit(self.room)
        layers, step = self.plan.shape.layers - 1, self.layout.layer_bytes
        # As many blocks as have at least two tokens.
        program.calc(self.end, self.remaining, immediate=size - 2, right=log2(size))
        with program.loop(count_register=self.end):
            program.minimum(self.rows, 0, self.remaining, size)
            self._look_up()
            self._find_places()
            with program.loop(layers, counter=writer.layer, step=step):
                self._project(last=False)
                self._attend()
                self._feed_forward()
            program.calc(writer.layer, immediate=layers * step)
            self._project(last=True)
            program.calc(Register.POSITION, Register.POSITION, self.rows)
            # Where the subtraction wraps around, this was the last block.
            program.minimum(self.remaining, self.remaining, self.remaining, -size)
            program.barrier()

    # -- tokens and their places -------------------------------------------------------------

    def _look_up(self) -> None:
        """Bring angles and embeddings to wide memory."""
        program, plan, layout, writer = self.program, self.plan, self.layout, self.writer
        place, local, token, scratch = writer.words, writer.key_tiles, writer.lane, writer.tile
        program.calc(scratch, Register.POSITION, left=log2(layout.angle_bytes))
        program.load(
            LoadKind.WIDE, address=layout.address("angles"), row_stride=layout.angle_bytes, rows=0,
            elements=plan.angle_words, local_stride=plan.angle_words,
            patches={"address": scratch, "rows": self.rows},
        )  # fmt: skip
        program.calc(place, Register.POSITION, left=log2(layout.list.stride))
        program.calc(local)
        with program.loop(
            count_register=self.rows, counter=place, initial=place, step=layout.list.stride
        ):
            program.read(token, place, layout.list.entries)
            writer.multiply(scratch, token, layout.row_bytes)
            program.load(
                LoadKind.WIDE, address=layout.address("embedding"), local=self.prompt.residual,
                elements=self.prompt.residual_stride, patches={"address": scratch, "local": local},
                post_outer=writer.summed,
            )  # fmt: skip
            program.calc(local, local, immediate=self.prompt.residual_stride)

    def _find_places(self) -> None:
        """Find everything that follows from position and rows."""
        program, plan, writer = self.program, self.plan, self.writer
        columns, rows, position = (
            plan.config.array.columns, plan.config.array.rows, Register.POSITION
        )  # fmt: skip
        program.calc(self.end, position, self.rows, -1)
        writer.multiply(writer.words, self.end, plan.head_words)
        writer.multiply(writer.page, position, self.layout.page_stride)
        program.calc(writer.key_tiles, self.end, right=log2(columns))
        program.calc(writer.value_tiles, self.end, right=log2(rows))
        unused = WORD_BITS - log2(columns)
        program.calc(writer.lane, self.end, left=unused)
        program.calc(writer.lane, writer.lane, right=unused)
        program.calc(writer.tile, position, left=UPPER)
        program.calc(writer.lane, writer.lane, writer.tile)
        program.calc(self.row_keys, self.end, left=UPPER)
        program.calc(self.row_keys, self.row_keys, self.rows)
        program.calc(self.gates, self.rows, left=log2(self.prompt.gate_words))

    # -- steps -------------------------------------------------------------------------------

    def _norm(self, table: str) -> None:
        """Make words of the residual, when the table is there; each token's are told of."""
        norm, plan, prompt = self.layer.norm, self.plan, self.prompt
        self.program.norm(
            elements=norm.features, inverse=norm.inverse, epsilon=norm.epsilon, centre=False,
            tokens=0, source=prompt.residual, source_stride=prompt.residual_stride,
            destination=0, token_stride=plan.steps, scale=plan.tables[table],
            exponent_base=norm.base, patches=self.tokens, wait_outer=self.writer.tabled,
            wait_inner=self.writer.summed, post_inner=self.writer.normed,
        )  # fmt: skip

    def _load(self, name: str, matrix: str, panels: int = 0) -> None:
        """Bring a matrix through the block's ring: of one in the layer's record, what is behind so
        many panels."""
        array = self.plan.config.array
        behind = panels * self.plan.steps * array.rows * array.columns
        self.prompt.matrices[name].load(
            self.program, self._address(matrix) + behind, {"address": self.writer.layer},
            free=self.freed, arrived=self.writer.arrived,
        )  # fmt: skip

    def _address(self, matrix: str) -> int:
        """Return where a matrix of the first layer begins."""
        return self.layout.address("layers") + self.layout.places[matrix]

    def _multiply(
        self, matrix: RingMatrix, activation: int, stride: int, *, free: int,
        ready: int | None = None,
    ) -> None:  # fmt: skip
        """Multiply all tokens by a matrix, each from when it is ``ready`` on."""
        matrix.multiply(
            self.program, activation, ready=ready, free=free, arrived=self.writer.arrived,
            rows=self.rows, stride=stride,
        )  # fmt: skip

    def _add(self, matrix: RingMatrix, table: str) -> None:
        """Add the results of a matrix to the residual; the row unit is told of each token."""
        plan, prompt, each = self.plan, self.prompt, self.plan.beats(matrix.each)
        for first, groups, panels in matrix.pieces:
            last = first + groups == matrix.slots
            self.program.drain(
                DrainKind.WIDE, accumulate=True, tokens=0, groups=groups, tiles=panels,
                columns_last=plan.features_last if last else plan.config.array.columns,
                scale=plan.tables[table] + first * each, group_stride=each,
                destination=prompt.residual + first * each, token_stride=prompt.residual_stride,
                patches=self.tokens, post_inner=self.writer.summed if last else None,
            )  # fmt: skip

    def _load_tables(self, part: int) -> None:
        """Load a part of the layer's scale entries, a norm's among them."""
        first, words, place = self.layout.table_parts[part]
        self.program.load(
            LoadKind.SCALE, address=self.layout.address("layers") + place, local=first,
            elements=words, patches={"address": self.writer.layer}, post_outer=self.writer.tabled,
        )  # fmt: skip

    # -- K, V and Q --------------------------------------------------------------------------

    def _project(self, *, last: bool) -> None:
        """Compute keys and values and store them, and unless it is the last layer queries."""
        plan, groups = self.plan, self.plan.shape.key_heads
        self._load_tables(0)
        self._norm("attention_norm")
        self.program.calc(self.writer.tile, self.writer.layer, self.writer.page)
        self._load_head(0)
        for number in range(2 * groups):
            if number + 1 < 2 * groups:
                self._load_head(number + 1)
            elif not last:
                self._load("query", "projection", 2 * groups * plan.head_tiles)
            self._multiply_head(number)
            # Memory acknowledges in order, so that the last heads of both kinds speak for all.
            told = number % groups == groups - 1 and not last
            self._store_head(number, post_outer=self.writer.stored if told else None)
        if not last:
            self._query()

    def _load_head(self, number: int) -> None:
        """Bring the weights of a head of keys, or behind these of values, to the chip."""
        prompt, array = self.prompt, self.plan.config.array
        size = prompt.head_weights * array.rows * array.columns
        self.program.load(
            LoadKind.OPERAND_ROWS, address=self._address("projection") + number * size,
            elements=prompt.head_weights * (array.rows // self.plan.config.write_rows),
            local=self.plan.keys, patches={"address": self.writer.layer}, wait_outer=self.room,
            post_outer=self.writer.arrived,
        )  # fmt: skip

    def _multiply_head(self, number: int) -> None:
        """Multiply by a head's weights; the first one waits for the norm."""
        plan, writer = self.plan, self.writer
        self.program.matmul(
            steps=plan.steps, tiles=plan.head_tiles, tokens=0, operand=plan.keys,
            patches=self.tokens, wait_outer=writer.arrived,
            wait_inner=None if number else writer.normed, post_outer=self.room,
        )  # fmt: skip

    def _store_head(self, number: int, *, post_outer: int | None) -> None:
        """Store a head's keys, or values, of all tokens."""
        plan, layout, layer = self.plan, self.layout, self.layer
        values, head = divmod(number, plan.shape.key_heads)
        table, name = ("value", "values") if values else ("key", "keys")
        self.program.drain(
            DrainKind.HEADS, tokens=0, tiles=plan.head_tiles, patches=self.tokens,
            scale=plan.tables[table] + head * plan.beats(plan.head_tiles),
            exponent_base=VALUE_BASE if values else layer.base, rotate=not values,
            shift=0 if values else log2(plan.angle_words),
        )  # fmt: skip
        self.program.store(
            StoreKind.STREAM, address=layout.cache(name) + head * layout.head_bytes, rows=0,
            elements=plan.head_words, row_stride=layout.page_stride,
            patches={"address": self.writer.tile, "rows": self.rows}, post_outer=post_outer,
        )  # fmt: skip

    def _query(self) -> None:
        """Compute queries."""
        plan, matrix = self.plan, self.prompt.matrices["query"]
        self._multiply(matrix, 0, plan.steps, free=self.freed)
        self.program.drain(
            DrainKind.ACTIVATION, tokens=0, groups=matrix.slots, tiles=matrix.each,
            tiles_last=matrix.last, scale=plan.tables["query"], destination=self.prompt.queries,
            group_stride=self._unit_words, token_stride=plan.output_steps,
            exponent_base=self.layer.base, rotate=True, shift=log2(plan.angle_words),
            patches=self.tokens,
        )  # fmt: skip

    @property
    def _unit_words(self) -> int:
        """Activation words of a token that a slot makes."""
        return self.prompt.unit // self.plan.config.tiles_per_group

    # -- attention ---------------------------------------------------------------------------

    def _attend(self) -> None:
        """Add attention to the residual, one head of keys and values after the other."""
        plan, shape, writer = self.plan, self.plan.shape, self.writer
        for group in range(shape.key_heads):
            last = group + 1 == shape.key_heads
            self.pages.load(group)
            if last:
                self._load("output", "output")
                self._load_tables(1)
            self.pages.bring_keys(group)
            self.pages.bring_values(group, post_outer=writer.written)
            heads = range(group * shape.share, (group + 1) * shape.share)
            self.attention.append([
                RowBlock(head, 0, 0, 0, 1, tells=head + 1 == shape.heads) for head in heads
            ])  # fmt: skip
        self._load("gate", "expansion")
        output = self.prompt.matrices["output"]
        self._multiply(
            output, self.prompt.queries, plan.output_steps, free=self.freed, ready=writer.written
        )
        self._add(output, "output")

    # -- feed-forward ------------------------------------------------------------------------

    def _feed_forward(self) -> None:
        """Add the feed-forward to the residual."""
        plan, prompt, writer = self.plan, self.prompt, self.writer
        gate, up, down = (
            prompt.matrices["gate"], prompt.matrices["up"], self.layout.ring_matrices["down"]
        )  # fmt: skip
        self._norm("hidden_norm")
        self._load("up", "expansion", plan.hidden_tiles)
        self._multiply(gate, 0, plan.steps, free=self.freed, ready=writer.normed)
        self._drain_gates(gate)
        down.load(
            self.program, self._address("down"), {"address": writer.layer}, free=writer.free,
            arrived=writer.arrived, begin=self.expanded,
        )  # fmt: skip
        self._multiply(up, 0, plan.steps, free=self.freed)
        self._drain_hidden(up)
        self._multiply(
            down, prompt.hidden, prompt.hidden_words, free=writer.free, ready=writer.written
        )
        self._add(down, "down")

    def _drain_gates(self, gate: RingMatrix) -> None:
        """Put gates where PRODUCT looks for them: those of a slot's tokens side by side."""
        plan, prompt = self.plan, self.prompt
        for first, groups, panels in gate.pieces:
            last = first + groups == gate.slots
            self.program.drain(
                DrainKind.WIDE, function=DrainFunction.SILU, tokens=0, groups=groups, tiles=panels,
                columns_last=plan.hidden_last if last else plan.config.array.columns,
                scale=plan.tables["gate"] + first * prompt.gate_words,
                destination=prompt.last_gates if last else prompt.gates,
                token_stride=plan.beats(panels),
                patches=self.tokens if last else self.tokens | {"group_stride": self.gates},
            )  # fmt: skip

    def _drain_hidden(self, up: RingMatrix) -> None:
        """Make hidden words; the array is told of each token's, and LOAD of all."""
        plan, prompt = self.plan, self.prompt
        for first, groups, panels in up.pieces:
            last = first + groups == up.slots
            self.program.drain(
                DrainKind.ACTIVATION, function=DrainFunction.PRODUCT, shift=self.shift, tokens=0,
                groups=groups, tiles=panels, exponent_base=self.layer.base,
                columns_last=plan.hidden_last if last else plan.config.array.columns,
                scale=plan.tables["up"] + first * prompt.gate_words,
                entries=prompt.last_gates if last else prompt.gates,
                destination=prompt.hidden + first * self._unit_words,
                group_stride=self._unit_words, token_stride=prompt.hidden_words,
                patches=self.tokens, post_inner=self.writer.written if last else None,
                post_outer=self.expanded if last else None,
            )  # fmt: skip
