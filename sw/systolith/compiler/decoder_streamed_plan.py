"""Plan a language model whose weights, keys and values are in external memory.

Weights pass through a *ring* of equal slots in operand memory, each of them whole panels of one
matrix. A slot has as many tiles for every matrix, so that one count of free slots serves all; a
matrix whose panels fill more than half of it has one panel in each.

On the chip are, besides: a head's keys and values; an identity matrix, with which pages of keys and
values become operands; all entries of a layer; two halves for the head's; what tokens need in
activation and wide memory, and the pages of a head's keys and of its values.
"""

from dataclasses import dataclass

from .decoder_plan import DecoderPlan

__all__ = ["StreamedPlan"]


@dataclass(frozen=True, kw_only=True)
class StreamedPlan(DecoderPlan):
    """All decisions about a language model that is streamed.

    Parameters
    ----------
    slot : int
        Tiles of a slot.
    slots : int
        Slots of the ring, which divide those of a layer: each layer finds it as the first did.
    """

    slot: int
    slots: int

    # -- the ring ----------------------------------------------------------------------------

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """The matrices of a layer in the order of their use: steps, and panels."""
        hidden = self.words(self.shape.hidden)
        return {
            "projection": (self.steps, self.projection_tiles),
            "output": (self.output_steps, self.tiles),
            "expansion": (self.steps, 2 * self.hidden_tiles),
            "down": (hidden, self.tiles),
        }

    @property
    def ring(self) -> tuple[int, int]:
        """Operand tiles of the ring."""
        return 0, self.slot * self.slots

    def slots_of(self, steps: int, panels: int) -> int:
        """Return the slots of a matrix."""
        return -(-panels // (self.slot // steps))

    # -- operand memory, behind the ring -----------------------------------------------------

    @property
    def identity(self) -> int:
        """Where the identity matrix is, of R / C tiles."""
        return self.slot * self.slots

    @property
    def keys(self) -> int:
        """Where a head's keys begin."""
        return self.identity + self.config.tiles_per_group

    @property
    def values(self) -> int:
        """Where a head's values begin."""
        return self.keys + self.head_keys

    @property
    def page_tiles(self) -> int:
        """Output tiles of a head's words."""
        return self.head_words * self.config.tiles_per_group

    @property
    def operand_need(self) -> int:
        """Tiles altogether."""
        return self.values + self.page_tiles * self.value_stride

    # -- activation memory, behind the hidden words ------------------------------------------

    @property
    def key_pages(self) -> int:
        """Where the words of a head's keys come to."""
        return self.hidden + self.words(self.shape.hidden)

    @property
    def value_pages(self) -> int:
        """Where the words of a head's values come to."""
        return self.key_pages + self.tokens * self.head_words

    @property
    def activation_need(self) -> int:
        """Words altogether."""
        return self.value_pages + self.tokens * self.head_words

    # -- scale memory, behind the entries of a layer -----------------------------------------

    @property
    def value_entries(self) -> int:
        """Where the exponents of a head's values begin."""
        return self.key_entries + self.head_entries

    @property
    def units(self) -> int:
        """Where the entries begin that leave a head's channels as they are."""
        return self.value_entries + self.head_entries

    @property
    def head_tables(self) -> tuple[int, int]:
        """Where the two halves for the head's entries begin."""
        return self.head_tables_start, self.head_tables_start + self.chunk_words

    @property
    def chunk_slots(self) -> int:
        """Slots of the head whose entries are in scale memory together: all, or whole rings."""
        panels = self.slot // self.steps
        all_slots = self.slots_of(self.steps, self.vocabulary_tiles)
        words = (self.config.memory.scale_words - self.head_tables_start) // 2
        rings = words // self.beats(panels) // self.slots
        return max(self.slots, min(rings * self.slots, -(-all_slots // self.slots) * self.slots))

    @property
    def head_tables_start(self) -> int:
        """The first scale word that the head's entries may take."""
        return self.units + self.beats(self.page_tiles)

    @property
    def chunk_words(self) -> int:
        """Scale words of a chunk."""
        return self.beats(self.chunk_slots * (self.slot // self.steps))

    @property
    def scale_need(self) -> int:
        """Words altogether."""
        return self.head_tables_start + 2 * self.chunk_words

    @property
    def norm_entries(self) -> int:
        """Scale words of each norm's entries, which come with the layer's others."""
        return self.beats(self.tiles)

    @property
    def last_norm(self) -> int:
        """Where the last norm's entries come to: those of a layer's first norm are done with."""
        return self.tables["attention_norm"]
