"""Where a language model that is streamed lies in external memory.

A *record* for each layer: its scale entries in two parts, its matrices in the order of their use,
and what the core writes itself: keys, then values, head after head, with a page for each position.
A page is what STORE writes of a head of one token: the exponents of its words, which are all the
same, and the words.

The head comes in *chunks*, each of them scale entries and the slots that need them.
"""

from functools import cached_property

from systolith_sim.dma.pages import page_bytes

from .decoder_layout import DecoderLayout
from .decoder_logits import LogitsRows
from .decoder_ring import RingMatrix
from .decoder_streamed_plan import StreamedPlan
from .layout import MemoryMap, pad, starts, two_powers
from .token_list import TokenList

__all__ = ["StreamedLayout"]


class StreamedLayout(DecoderLayout):
    """External memory of a language model that is streamed.

    Parameters
    ----------
    plan : StreamedPlan
    with_logits : bool
        Logits are stored, too.

    Attributes
    ----------
    list : TokenList
        What the host writes, and where it finds what comes.
    logits : LogitsRows or None
        Where logits are.
    map : MemoryMap
        "list", "embedding", "angles", "layers", "last norm", "head", "identity" and "units", and
        "logits" where they are stored.
    """

    plan: StreamedPlan

    def __init__(self, plan: StreamedPlan, *, with_logits: bool = False) -> None:
        self.plan = plan
        self.config = plan.config
        self.map = MemoryMap(plan.config, f"a streamed language model for {plan.tokens} tokens")
        shape = plan.shape
        size = TokenList(plan.config, shape, plan.tokens, 0).size
        address = self.map.add("list", size).address
        self.list = TokenList(plan.config, shape, plan.tokens, address)
        self.map.add("embedding", shape.vocabulary * self.row_bytes)
        self.map.add("angles", (plan.tokens + 1) * self.angle_bytes)  # the last are never used
        self.map.add("layers", shape.layers * self.layer_bytes)
        self.map.add("last norm", self._scales(plan.beats(plan.tiles)))
        self.map.add("head", sum(self.chunk_bytes(chunk) for chunk in self.chunks))
        self.map.add("identity", pad(plan.config.array.rows**2, plan.config.bus.data_bytes))
        self.map.add("units", self._scales(plan.beats(plan.page_tiles)))
        self.logits: LogitsRows | None = None
        if with_logits:
            parts = tuple(chunk.panels for chunk in self.chunks)
            address = self.map.add("logits", LogitsRows(plan, 0, parts).size).address
            self.logits = LogitsRows(plan, address, parts)

    # -- rows that tokens take ---------------------------------------------------------------

    @property
    def row_bytes(self) -> int:
        """Bytes from one embedding to the next, a sum of two powers of two."""
        plan, port = self.plan, self.config.bus.data_bytes
        return two_powers(plan.beats(plan.tiles) * self.config.wide_word_bytes, port)

    # -- a layer's record --------------------------------------------------------------------

    @cached_property
    def table_parts(self) -> tuple[tuple[int, int, int], ...]:
        """The two parts of a layer's entries: first scale word, words, and place in the record."""
        ends = self.plan.tables
        border, end = ends["hidden_norm"], ends["end"]
        return (0, border, 0), (border, end - border, self._scales(border))

    @cached_property
    def ring_matrices(self) -> dict[str, RingMatrix]:
        """The matrices of a layer."""
        found, first = {}, 0
        for name, (steps, panels) in self.plan.matrices.items():
            found[name] = RingMatrix(self.plan, steps, panels, first % self.plan.slots)
            first += found[name].slots
        return found

    @cached_property
    def places(self) -> dict[str, int]:
        """Where matrices, "keys" and "values" begin in a layer's record; "end" behind them."""
        sizes = {name: matrix.size for name, matrix in self.ring_matrices.items()}
        sizes |= {"keys": self.cache_bytes, "values": self.cache_bytes}
        return starts(sizes, sum(self._scales(words) for _, words, _ in self.table_parts))

    def cache(self, name: str) -> int:
        """Return where the first layer's "keys", or "values", begin."""
        return self.address("layers") + self.places[name]

    @property
    def layer_bytes(self) -> int:
        """Bytes from record to record."""
        return self.places["end"]

    @property
    def page_stride(self) -> int:
        """Bytes from a head's page to that of the next position, a sum of two powers of two."""
        return two_powers(page_bytes(self.config, self.plan.head_words), self.config.bus.data_bytes)

    @property
    def head_bytes(self) -> int:
        """Bytes of the keys, or values, of a head in a layer."""
        return self.plan.tokens * self.page_stride

    @property
    def cache_bytes(self) -> int:
        """Bytes of the keys, or values, of a layer."""
        return self.plan.shape.key_heads * self.head_bytes

    # -- the head ----------------------------------------------------------------------------

    @cached_property
    def chunks(self) -> tuple[RingMatrix, ...]:
        """The head's panels, equally many in all chunks but the last."""
        plan = self.plan
        most = plan.chunk_slots * (plan.slot // plan.steps)
        firsts = range(0, plan.vocabulary_tiles, most)
        counts = (min(most, plan.vocabulary_tiles - first) for first in firsts)
        return tuple(RingMatrix(plan, plan.steps, count, 0) for count in counts)

    def chunk_tables(self, chunk: RingMatrix) -> int:
        """Return the bytes of a chunk's entries; its slots are behind them."""
        return self._scales(self.plan.beats(chunk.panels))

    def chunk_bytes(self, chunk: RingMatrix) -> int:
        """Return the bytes of a chunk."""
        return self.chunk_tables(chunk) + chunk.size

    def _scales(self, words: int) -> int:
        return pad(words * self.config.scale_word_bytes, self.config.bus.data_bytes)
