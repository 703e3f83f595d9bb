"""Plan an encoder: how it is cut, and where everything lies on the chip.

Weights pass through the operand memory as a ring of equal *slots*: a panel of Q, K or V of one
head, the rows of the output matrix for one head, the columns of the up matrix for as many hidden
values as a head has features, or the rows of the down matrix for them. K and V of two heads lie
behind the ring. Tokens of a sentence (a *segment*) begin there at a multiple of ``unit``, the
segments one after the other.
"""

from dataclasses import dataclass
from functools import cached_property

from systolith_hw.config import Config

from .encoder_shape import EncoderShape

__all__ = ["EncoderPlan"]


@dataclass(frozen=True, kw_only=True)
class EncoderPlan:
    """All decisions about an encoder; addresses are those of memories on the chip.

    Parameters
    ----------
    config : Config
    shape : EncoderShape
    tokens : int
        Most tokens of all segments together.
    segments : int
        Most segments.
    row_block : int
        Rows of scores that are on the chip for each of two heads.
    token_block : int
        Tokens whose residual is on the chip.
    spill : bool
        The context passes through external memory.
    """

    config: Config
    shape: EncoderShape
    tokens: int
    segments: int
    row_block: int
    token_block: int
    spill: bool

    # -- cuts --------------------------------------------------------------------------------

    @property
    def resident(self) -> bool:
        """The residual of all tokens stays on the chip."""
        return self.token_block >= self.tokens

    @property
    def unit(self) -> int:
        """Tokens that the place of a segment is a multiple of."""
        return max(self.config.array.rows, self.config.array.columns)

    @property
    def units(self) -> int:
        """Places of ``unit`` tokens, enough for any lengths."""
        return (self.tokens + self.segments * (self.unit - 1)) // self.unit

    @property
    def steps(self) -> int:
        """Activation words of a token."""
        return self.shape.features // self.config.array.rows

    @property
    def head_steps(self) -> int:
        """Activation words of a head."""
        return self.shape.head // self.config.array.rows

    @property
    def tiles(self) -> int:
        """Output tiles of the features."""
        return self.shape.features // self.config.array.columns

    @property
    def head_tiles(self) -> int:
        """Output tiles of a head."""
        return self.shape.head // self.config.array.columns

    @property
    def wide_stride(self) -> int:
        """Wide words of a token; also the scale words of the features."""
        return self.shape.features // self.config.vector.lanes

    @property
    def head_scales(self) -> int:
        """Scale words of a head."""
        return self.shape.head // self.config.vector.lanes

    @property
    def scores_stride(self) -> int:
        """Wide words of a row of scores."""
        return -(-self.tokens // self.config.array.columns) * self.config.beats_per_result

    @property
    def powers_stride(self) -> int:
        """Activation words of a row of probabilities."""
        return -(-self.tokens // self.config.array.rows)

    # -- operand memory ----------------------------------------------------------------------

    @property
    def slot(self) -> int:
        """Tiles of a slot."""
        return self.head_tiles * self.steps

    @property
    def key_stride(self) -> int:
        """Tiles from the keys of C tokens to the next ones', a power of two."""
        return 1 << (self.head_steps - 1).bit_length()

    @property
    def unit_keys(self) -> int:
        """Tiles of a unit's keys."""
        return self.unit // self.config.array.columns * self.key_stride

    @property
    def unit_values(self) -> int:
        """Tiles of a unit's values, of each C features."""
        return self.unit // self.config.array.rows

    @property
    def value_stride(self) -> int:
        """Tiles from the values of C features to the next ones'."""
        return 2 * self.units * self.unit_values

    @property
    def head_operands(self) -> int:
        """Tiles of K and V of two heads."""
        return 2 * self.units * self.unit_keys + self.head_tiles * self.value_stride

    @cached_property
    def slots(self) -> int:
        """Slots of the ring."""
        counts = (1 << self.config.sequencer.semaphore_bits) - 1
        room = (self.config.memory.operand_tiles - self.head_operands) // self.slot
        if self.spill:
            # A part of the context goes with each, and hidden words lie behind.
            words = self.config.memory.activation_words - self.queries
            room = min(room, words // self.chunk_context - 1)
        return max(1, min(room, counts, self.shape.chunks))

    @property
    def ring(self) -> int:
        """Tiles of the ring; where the keys begin."""
        return self.slots * self.slot

    @property
    def values(self) -> int:
        """Where the values begin."""
        return self.ring + 2 * self.units * self.unit_keys

    @property
    def operand_need(self) -> int:
        """Tiles with the shortest ring."""
        return self.head_operands + self.slot

    # -- activation memory -------------------------------------------------------------------

    @property
    def head_queries(self) -> int:
        """Words of a head's queries; also of its context. No fewer than there are units."""
        return max(self.tokens * self.head_steps, self.units)

    @property
    def queries(self) -> int:
        """Where the queries of two heads begin: behind the tokens' words."""
        return self.tokens * self.steps

    @property
    def powers(self) -> int:
        """Where the probabilities of two heads begin."""
        return self.queries + 2 * self.head_queries

    @property
    def head_powers(self) -> int:
        """Words of one head's probabilities."""
        return self.row_block * self.powers_stride

    @property
    def context(self) -> int:
        """Where the context begins.

        That is of all heads one after the other; or, spilt, of a block's tokens and as many heads
        as the ring has slots, in the place of queries and probabilities.
        """
        return self.queries if self.spill else self.powers + 2 * self.head_powers

    @property
    def chunk_context(self) -> int:
        """Words of a block's context of one head, also of its hidden words."""
        return self.token_block * self.head_steps

    @property
    def hidden(self) -> int:
        """Where a block's hidden words begin: behind the context."""
        parts = self.slots * self.chunk_context
        return self.context + (parts if self.spill else 2 * self.shape.pairs * self.head_queries)

    @property
    def activation_need(self) -> int:
        """Words altogether."""
        attention = self.powers + 2 * self.head_powers
        return max(self.hidden + self.chunk_context, attention, self.queries + self.steps)

    @property
    def staging(self) -> int:
        """Tokens whose position embeddings fit behind the tokens' words."""
        room = (self.config.memory.activation_words - self.queries) // self.steps
        return min(room, self.token_block)

    # -- wide and scale memory ---------------------------------------------------------------

    @property
    def scores(self) -> int:
        """Where the scores of two heads begin.

        Behind the residual; or, unless it stays there, in the place of a block's last tokens.
        """
        residual = self.token_block * self.wide_stride
        return residual if self.resident else max(0, residual - 2 * self.head_scores)

    @property
    def untouched(self) -> int:
        """Tokens of a block whose residual's place has no scores."""
        return self.scores // self.wide_stride

    @property
    def head_scores(self) -> int:
        """Wide words of one head's scores."""
        return self.row_block * self.scores_stride

    @property
    def wide_need(self) -> int:
        """Words altogether."""
        return max(self.scores + 2 * self.head_scores, self.token_block * self.wide_stride)

    @property
    def head_tables(self) -> int:
        """Scale words of Q, K and V of all heads, which begin the memory."""
        return 2 * self.shape.pairs * 3 * self.head_scales

    @property
    def up_table(self) -> int:
        """Where the up matrix's scales begin, behind those of output, down and the norms."""
        return self.head_tables + 6 * self.wide_stride

    @property
    def block_tables(self) -> int:
        """Scale words of everything but Q, K and V."""
        return 6 * self.wide_stride + self.shape.chunks * self.head_scales

    @property
    def unit_entries(self) -> int:
        """Scale words of the exponents of a unit's keys, or values."""
        return self.unit // self.config.vector.lanes

    @property
    def key_entries(self) -> int:
        """Where the exponents of two heads' keys begin."""
        return self.head_tables + self.block_tables

    @property
    def value_entries(self) -> int:
        """Where the exponents of two heads' values begin."""
        return self.key_entries + 2 * self.units * self.unit_entries

    @property
    def unity(self) -> int:
        """Where the scales of one begin, for as many channels as a unit has tokens."""
        return self.value_entries + 2 * self.units * self.unit_entries

    @property
    def spare(self) -> int:
        """A scale word that nobody reads."""
        return self.unity + self.unit_entries

    @property
    def scale_need(self) -> int:
        """Words altogether."""
        return self.spare + 1
