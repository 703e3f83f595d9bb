"""What the parts of a streamed language model's program share: semaphores, registers, and norms."""

from systolith_hw.isa import DrainKind, LoadKind, Register
from systolith_sim.transformer.row_norm import RowNorm

from ..program import Program
from .decoder_ring import RingMatrix
from .decoder_streamed_layout import StreamedLayout
from .decoder_writer import multiply, remainder
from .layout import log2

__all__ = ["StreamedWriter"]


class StreamedWriter:
    """A program under construction.

    As in :class:`~.decoder_writer.DecoderWriter`, each step of a token waits for the one before.
    LOAD alone is far ahead: as far as the ring has free slots. It works in order, so whoever has a
    matrix's results also has its scale entries; only norms must be told that theirs are there.

    Parameters
    ----------
    layout : StreamedLayout

    Attributes
    ----------
    program : Program
    summed : int
        Semaphore, for the row unit: wide words are there, a residual or a head's scores.
    tabled : int
        Semaphore, for the row unit: the entries of a norm are there.
    normed : int
        Semaphore, for the array: words of a norm, or of a head's probabilities, are there.
    written : int
        Semaphore, for the array: words of DRAIN are there.
    arrived, free : int
        Semaphores, for the array and for LOAD: a slot of the ring is full, or free.
    stored : int
        Semaphore, for LOAD: the position's keys, or values, are in external memory.
    drained : int
        Semaphore, for LOAD: one of the two halves for the head's entries is free.
    paged, unpaged : int
        Semaphores, for the array and for LOAD: pages of a head are there, or done with.
    tile : int
        Register: whatever is needed only at once.
    layer : int
        Register: bytes from the first layer's record to this one's.
    page : int
        Register: bytes from a head's first page to the position's.
    words : int
        Register: words of a head's pages before the position's.
    lane : int
        Register: the position's lane in keys.
    key_tiles, value_tiles : int
        Registers: whole tiles of keys, and of values, before the position's.
    """

    def __init__(self, layout: StreamedLayout) -> None:
        self.layout = layout
        self.plan = layout.plan
        self.program = program = Program(layout.config)
        self.summed = program.semaphore("wide words for the row unit are there")
        self.tabled = program.semaphore("entries of a norm are there")
        self.normed = program.semaphore("words of the row unit are there")
        self.written = program.semaphore("words of the vector unit are there")
        self.arrived = program.semaphore("a slot of the ring is full")
        self.free = program.semaphore("a slot of the ring is free")
        self.stored = program.semaphore("keys or values are in external memory")
        self.drained = program.semaphore("half of the head's entries are done with")
        self.paged = program.semaphore("pages of a head are there")
        self.unpaged = program.semaphore("pages of a head are done with")
        self.tile = program.register("whatever is needed at once")
        self.layer = program.register("the layer's record")
        self.page = program.register("the position's page")
        self.words = program.register("words before the position's")
        self.lane = program.register("lane of the next key")
        self.key_tiles = program.register("whole tiles of keys")
        self.value_tiles = program.register("whole tiles of values")

    @property
    def spare(self) -> tuple[int, int, int]:
        """Registers for whatever is behind the layers: they are found anew for each position."""
        return self.words, self.key_tiles, self.value_tiles

    def find_places(self) -> None:
        """Find everything that follows from the position."""
        program, plan, array = self.program, self.plan, self.plan.config.array
        remainder(program, self.lane, Register.POSITION, array.columns)
        program.calc(self.key_tiles, Register.POSITION, right=log2(array.columns))
        program.calc(self.value_tiles, Register.POSITION, right=log2(array.rows))
        self.multiply(self.words, Register.POSITION, plan.head_words)
        self.multiply(self.page, Register.POSITION, self.layout.page_stride)

    def next_position(self) -> None:
        """Find the same for the next position."""
        self.program.calc(Register.POSITION, Register.POSITION, immediate=1)
        self.find_places()

    def multiply(self, target: int, source: int, factor: int) -> None:
        """Multiply a register by a power of two, or by a sum of two; the target is another one."""
        multiply(self.program, target, source, factor)

    # -- steps -------------------------------------------------------------------------------

    def load(self, matrix: RingMatrix, address: int, register: int | None = None) -> None:
        """Bring a matrix through the ring, from an address to which a register is added."""
        matrix.load(
            self.program, address, {"address": register} if register else {}, free=self.free,
            arrived=self.arrived,
        )  # fmt: skip

    def load_tables(self, part: int) -> None:
        """Load a part of the layer's scale entries, a norm's among them."""
        first, words, place = self.layout.table_parts[part]
        self.program.load(
            LoadKind.SCALE, address=self.layout.address("layers") + place, local=first,
            elements=words, patches={"address": self.layer}, post_outer=self.tabled,
        )  # fmt: skip

    def multiply_by(self, matrix: RingMatrix, activation: int, ready: int | None) -> None:
        """Multiply words by a matrix, from when they are ``ready`` on."""
        matrix.multiply(
            self.program, activation, ready=ready, free=self.free, arrived=self.arrived
        )

    def add(self, matrix: RingMatrix, activation: int, table: str) -> None:
        """Add words that DRAIN has made, multiplied by a matrix, to the residual."""
        plan = self.plan
        self.multiply_by(matrix, activation, self.written)
        self.program.drain(
            DrainKind.WIDE, accumulate=True, tiles=plan.tiles, columns_last=plan.features_last,
            scale=plan.tables[table], destination=plan.residual, post_outer=self.summed,
        )  # fmt: skip

    def norm(
        self, norm: RowNorm, table: int, *, post_outer: int | None = None,
        post_inner: int | None = None,
    ) -> None:  # fmt: skip
        """Make words of the residual, when that and the table are there."""
        self.program.norm(
            elements=self.plan.shape.features, inverse=norm.inverse, epsilon=norm.epsilon,
            centre=False, source=self.plan.residual, destination=0, scale=table,
            exponent_base=norm.base, wait_outer=self.summed, wait_inner=self.tabled,
            post_outer=post_outer, post_inner=post_inner,
        )  # fmt: skip
