"""The programs of a language model's layers for many tokens at once, their weights streamed.

Of a layer, for each group of heads that share keys and values, and then for each chunk of hidden
values::

    load     tables | slots of the group                          | tables | slots of all chunks
    row      norm                    softmax ...                    norm
    array         | K | Q | V | scores and context | output 0 ...       | gate | up | down ...
    vector          K   Q   V   scores and context   residual +=          SiLU   x    residual +=

The instructions of one layer follow those of the other, so that all that differs between groups and
layers is known when they are written; chunks are a loop.
"""

from typing import Unpack

from systolith_hw.isa import DrainFunction, DrainKind, LoadKind, StoreKind
from systolith_sim.transformer.decoder import DecoderLayer, GatedHidden
from systolith_sim.transformer.encoder import VALUE_BASE

from ..program import Program, Semaphores, programming
from .causal_attention import AttentionLinks, CausalAttention, row_blocks
from .layout import log2
from .prefill_layout import PrefillLayout
from .slot_ring import SlotRing

__all__ = ["write_prefill"]


def write_prefill(layout: PrefillLayout, layer: DecoderLayer) -> dict[str, bytes]:
    """Return "setup", which brings residual and angles to the chip; "main", all layers; and
    "readout", which stores the residual.

    ``layer`` is any one: what the instructions hold is the same in all.

    Raises
    ------
    ConfigError
        If it takes more than there is of something.
    """
    with programming("this prompt"):
        return {
            "setup": _write_setup(layout),
            "main": LayersProgram(layout, layer).assemble(),
            "readout": _write_readout(layout),
        }


def _write_setup(layout: PrefillLayout) -> bytes:
    plan, program = layout.plan, Program(layout.config)
    for region, local, stride in (
        ("residual", plan.residual, plan.residual_stride), ("angles", 0, plan.angle_words),
    ):  # fmt: skip
        program.load(
            LoadKind.WIDE, address=layout.address(region), elements=stride, rows=plan.tokens,
            local=local, local_stride=stride,
        )  # fmt: skip
    program.end()
    return program.assemble()


def _write_readout(layout: PrefillLayout) -> bytes:
    plan, program = layout.plan, Program(layout.config)
    program.store(
        StoreKind.WIDE, address=layout.address("residual"), elements=plan.residual_stride,
        rows=plan.tokens, local=plan.residual, local_stride=plan.residual_stride,
    )  # fmt: skip
    program.end()
    return program.assemble()


class LayersProgram:
    """The program of all layers.

    Parameters
    ----------
    layout : PrefillLayout
    layer : DecoderLayer
    """

    def __init__(self, layout: PrefillLayout, layer: DecoderLayer) -> None:
        assert isinstance(layer.hidden, GatedHidden)
        self.layout = layout
        self.plan = plan = layout.plan
        self.layer = layer
        self.shift = layer.hidden.shift
        self.tables = plan.attention_tables | plan.hidden_tables
        self.program = program = Program(layout.config)
        self.ring = SlotRing(
            program, size=plan.slot, slots=plan.slots, stride=layout.slot_bytes,
            address=layout.address("slots"),
        )  # fmt: skip
        self.local = program.register("where a LOAD of slots begins")
        self.chunk = program.register("scale words of the chunks before")
        self.tabled = program.semaphore("tables are there, for the row unit")
        self.summed = program.semaphore("a token's residual, or a row's scores, are there")
        self.normed = program.semaphore("words of a token's norm, or a row's softmax, are there")
        self.written = program.semaphore("queries, or a token's context or hidden words, are there")
        self.attended = program.semaphore("attention's tables may be replaced")
        self.added = program.semaphore("the feed-forward's tables may be replaced")
        links = AttentionLinks(self.summed, self.normed, self.written)
        self.attention = CausalAttention(program, plan.attention, links, layer.base)

    def assemble(self) -> bytes:
        """Return it."""
        program, plan, ring = self.program, self.plan, self.ring
        program.calc(ring.slot)
        program.credit(ring.free, plan.slots)
        program.credit(self.summed, plan.tokens)
        for number in range(plan.shape.layers):
            self._attend(number)
            self._feed_forward(number)
        program.end()
        return program.assemble()

    # -- what both halves of a layer do ------------------------------------------------------

    def _load_tables(self, number: int, first: int, end: int, wait: int) -> None:
        """Load tables of a layer, in the place of the layer's before."""
        layout = self.layout
        self.program.load(
            LoadKind.SCALE, elements=end - first, local=first,
            address=layout.address("tables") + number * layout.table_bytes
            + (layout.hidden_table if first else 0),
            wait_outer=wait if number else None, post_outer=self.tabled,
        )  # fmt: skip

    def _norm(self, table: str) -> None:
        """Make words of the residual."""
        plan, norm = self.plan, self.layer.norm
        self.program.norm(
            elements=plan.shape.features, tokens=plan.tokens, inverse=norm.inverse,
            epsilon=norm.epsilon, centre=False, source=plan.residual,
            source_stride=plan.residual_stride, destination=0, token_stride=plan.steps,
            scale=self.tables[table], exponent_base=norm.base, wait_outer=self.tabled,
            wait_inner=self.summed, post_inner=self.normed,
        )  # fmt: skip

    def _add(
        self, table: str, activation: int, stride: int, *, post_inner: int | None = None,
        post_outer: int | None = None,
    ) -> None:  # fmt: skip
        """Add a matrix to the residual, for the inputs of a head; what is posted is the end."""
        plan, half = self.plan, self.plan.tiles // 2
        for number in range(2):
            self.ring.multiply(
                steps=plan.head_words, tiles=half, tokens=plan.tokens, activation=activation,
                activation_stride=stride, wait_inner=None if number else self.written,
            )  # fmt: skip
            first = number * plan.beats(half)
            self.program.drain(
                DrainKind.WIDE, accumulate=True, tiles=half, tokens=plan.tokens,
                scale=self.tables[table] + first, destination=plan.residual + first,
                token_stride=plan.residual_stride, post_inner=post_inner if number else None,
                post_outer=post_outer if number else None,
            )  # fmt: skip
            self.ring.next()

    # -- attention ---------------------------------------------------------------------------

    def _attend(self, number: int) -> None:
        """Add the attention of a layer to the residual."""
        plan, shape = self.plan, self.plan.shape
        self._load_tables(number, 0, plan.attention_tables["end"], self.attended)
        self._norm("attention_norm")
        blocks = row_blocks(shape.share, plan.tokens, plan.row_block)
        for group in range(shape.key_heads):
            self._load_group(number * plan.layer_slots + group * plan.group_slots)
            self._operands(DrainKind.KEYS, group, wait_inner=None if group else self.normed)
            self._query(group)
            self._operands(DrainKind.VALUES, group, post_outer=self.written)
            self.attention.append(blocks)
            for head in range(shape.share):
                last = (group + 1) * (head + 1) == shape.heads
                self._add(
                    "output", plan.queries + head * plan.head_words, plan.group_words,
                    post_inner=self.summed if last else None,
                    post_outer=self.attended if last and self._goes_on(number) else None,
                )  # fmt: skip

    def _goes_on(self, number: int) -> bool:
        """Return whether another layer follows."""
        return number + 1 < self.plan.shape.layers

    def _load_group(self, slot: int) -> None:
        """Load the slots of a group; the array is told of keys as a whole, and of values."""
        ring, local, heads = self.ring, self.local, 2 * self.plan.shape.share
        first = 0
        for count, at_once in ((2, True), (heads, False), (2, True), (heads, False)):
            ring.skip(local, first)
            ring.load(slot + first, count, local, at_once=at_once)
            first += count

    def _operands(
        self, kind: DrainKind, group: int, *, wait_inner: int | None = None,
        post_outer: int | None = None,
    ) -> None:  # fmt: skip
        """Compute keys or values of a group: all channels of a token, which share an exponent."""
        plan, program, tokens = self.plan, self.program, self.plan.tokens
        keys, tiles = kind == DrainKind.KEYS, plan.head_tiles
        if tokens > 1:
            self._multiply_pair(0, tokens - 1, wait_outer=self.ring.arrived, wait_inner=wait_inner)
        # The last token, by itself, gives both slots back.
        self._multiply_pair(
            tokens - 1, 1, wait_outer=None if tokens > 1 else self.ring.arrived,
            wait_inner=wait_inner, post_inner=self.ring.free, post_outer=self.ring.free,
        )  # fmt: skip
        self.ring.next(2)
        entries = plan.key_entries if keys else plan.value_entries
        program.drain_operands(
            kind, tokens=tokens, tiles=tiles, destination=plan.keys if keys else plan.values,
            token_stride=plan.key_stride if keys else plan.value_stride,
            scale=self.tables["key" if keys else "value"] + group * plan.beats(tiles),
            entries=entries * plan.config.vector.lanes,
            offset=self.layer.score_shift if keys else 0,
            exponent_base=self.layer.base if keys else VALUE_BASE,
            rotate=keys, shift=log2(plan.angle_words) if keys else 0,
            post_outer=post_outer,
        )  # fmt: skip

    def _multiply_pair(self, first: int, tokens: int, **semaphores: Unpack[Semaphores]) -> None:
        """Multiply some tokens by the two slots of a head together."""
        plan, ring = self.plan, self.ring
        self.program.matmul(
            steps=plan.steps, tiles=plan.head_tiles, tokens=tokens, ring=(0, ring.end),
            activation=first * plan.steps, patches={"operand": ring.slot}, **semaphores,
        )  # fmt: skip

    def _query(self, group: int) -> None:
        """Compute the queries of a group, half a head after the other."""
        plan = self.plan
        halves = 2 * plan.shape.share
        self.ring.multiply(
            steps=plan.steps, tiles=plan.half_tiles, tokens=plan.tokens, groups=halves
        )
        self.program.drain(
            DrainKind.ACTIVATION, rotate=True, shift=log2(plan.angle_words), tokens=plan.tokens,
            groups=halves, tiles=plan.half_tiles, destination=plan.queries,
            token_stride=plan.group_words, group_stride=plan.half_words,
            scale=self.tables["query"] + group * halves * plan.beats(plan.half_tiles),
            exponent_base=self.layer.base,
        )  # fmt: skip
        self.ring.next(halves)

    # -- feed-forward ------------------------------------------------------------------------

    def _feed_forward(self, number: int) -> None:
        """Add the feed-forward of a layer to the residual, chunk by chunk."""
        plan, program, ring = self.plan, self.program, self.ring
        groups = plan.shape.key_heads * plan.group_slots
        self._load_tables(
            number, plan.attention_tables["end"], plan.hidden_tables["end"], self.added
        )
        self._norm("hidden_norm")
        ring.load(number * plan.layer_slots + groups, 6 * plan.chunks, ring.slot)
        self._expand(0, wait_inner=self.normed)
        step = plan.beats(plan.head_tiles)
        with program.loop(plan.chunks - 1, counter=self.chunk, step=step):
            self._add("down", plan.hidden, plan.head_words)
            self._expand(step, self.chunk)
        more = self._goes_on(number)
        self._add(
            "down", plan.hidden, plan.head_words, post_inner=self.summed if more else None,
            post_outer=self.added if more else None,
        )  # fmt: skip

    def _expand(self, entry: int, offset: int = 0, *, wait_inner: int | None = None) -> None:
        """Compute hidden words of a chunk; ``offset`` is a register added to its scales.

        Of each half, gates go to wide memory, and what up gives is multiplied by them.
        """
        plan, program, tokens = self.plan, self.program, self.plan.tokens
        tiles, words = plan.half_tiles, plan.beats(plan.half_tiles)
        patches = {"scale": offset} if offset else {}
        for half in range(2):
            self._multiply_half(wait_inner=None if half else wait_inner)
            program.drain(
                DrainKind.WIDE, function=DrainFunction.SILU, tiles=tiles, tokens=tokens,
                scale=self.tables["gate"] + entry + half * words, token_stride=words,
                destination=plan.gates + half * plan.half_gates, patches=patches,
            )  # fmt: skip
            self.ring.next()
        for half in range(2):
            self._multiply_half()
            program.drain(
                DrainKind.ACTIVATION, function=DrainFunction.PRODUCT, shift=self.shift,
                tiles=tiles, tokens=tokens, scale=self.tables["up"] + entry + half * words,
                entries=plan.gates + half * plan.half_gates, exponent_base=self.layer.base,
                destination=plan.hidden + half * plan.half_words, token_stride=plan.head_words,
                patches=patches, post_inner=self.written if half else None,
            )  # fmt: skip
            self.ring.next()

    def _multiply_half(self, *, wait_inner: int | None = None) -> None:
        plan = self.plan
        self.ring.multiply(
            steps=plan.steps, tiles=plan.half_tiles, tokens=plan.tokens, wait_inner=wait_inner
        )
