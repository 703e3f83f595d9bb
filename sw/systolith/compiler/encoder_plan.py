"""Plan an encoder: how it is cut, and where everything lies on the chip.

Weights pass through the operand memory as a ring of equal *slots*: a panel of Q, K or V of one
head, the rows of the output matrix for one head, the columns of the up matrix for as many hidden
values as a head has features, or the rows of the down matrix for them. K and V of two heads lie
behind the ring.
"""

from dataclasses import dataclass
from functools import cached_property

from .encoder_attention_plan import AttentionPlan
from .encoder_shape import EncoderShape

__all__ = ["EncoderPlan"]


@dataclass(frozen=True, kw_only=True)
class EncoderPlan(AttentionPlan):
    """All decisions about an encoder; addresses are those of memories on the chip.

    Parameters
    ----------
    shape : EncoderShape
    token_block : int
        Tokens whose residual is on the chip.
    input_block : int
        Tokens whose words, the layer's input, are on the chip; no fewer than ``token_block``.
    """

    shape: EncoderShape
    token_block: int
    input_block: int

    # -- cuts --------------------------------------------------------------------------------

    @property
    def resident(self) -> bool:
        """The residual of all tokens stays on the chip, unless it is crowded."""
        return self.token_block >= self.tokens

    @property
    def crowded(self) -> bool:
        """Scores lie in the place of the last tokens' residual, which alone leaves the chip."""
        return self.resident and self.untouched < self.tokens

    @property
    def moves(self) -> bool:
        """Some residual moves to external memory and back."""
        return self.crowded or not self.resident

    @property
    def streamed(self) -> bool:
        """The layer's input moves to external memory, and comes back in blocks for two heads each.

        Its place also holds the probabilities, which the next heads' input writes over.
        """
        return self.input_block < self.tokens

    @property
    def at_once(self) -> bool:
        """All slots of a layer are loaded at once, since nothing is loaded between them."""
        return not (self.moves or self.spill)

    @property
    def head(self) -> int:
        """Features of a head."""
        return self.shape.head

    @property
    def steps(self) -> int:
        """Activation words of a token."""
        return self.shape.features // self.config.array.rows

    @property
    def tiles(self) -> int:
        """Output tiles of the features."""
        return self.shape.features // self.config.array.columns

    @property
    def wide_stride(self) -> int:
        """Wide words of a token; also the scale words of the features."""
        return self.shape.features // self.config.vector.lanes

    @property
    def head_scales(self) -> int:
        """Scale words of a head."""
        return self.shape.head // self.config.vector.lanes

    # -- counts ------------------------------------------------------------------------------

    @property
    def most_blocks(self) -> int:
        """Most blocks of rows of all segments together."""
        return self.tokens // self.row_block + self.segments

    @property
    def semaphore_need(self) -> int:
        """Bits of the largest count: of contexts that wait to be done, or of tokens."""
        contexts = 2 * self.shape.pairs * self.most_blocks
        # LOAD may learn of both the last block's end and that of attention before it goes on.
        vacant = 2 * self.input_block + 1 if self.streamed else 0
        return max(contexts, self.tokens, vacant).bit_length()

    # -- operand memory ----------------------------------------------------------------------

    @property
    def slot(self) -> int:
        """Tiles of a slot."""
        return self.head_tiles * self.steps

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
        others = self.head_operands + self.identity_tiles
        room = (self.config.memory.operand_tiles - others) // self.slot
        if self.spill:
            # A part of the context goes with each, and hidden words lie behind.
            words = self.config.memory.activation_words - self.queries
            room = min(room, words // self.chunk_context - 1)
        return max(1, min(room, counts, self.shape.chunks))

    @property
    def ring(self) -> int:
        """Tiles of the ring."""
        return self.slots * self.slot

    @property
    def keys(self) -> int:
        """Where the keys begin."""
        return self.ring

    @property
    def values(self) -> int:
        """Where the values begin."""
        return self.keys + 2 * self.units * self.unit_keys

    @property
    def identity_tiles(self) -> int:
        """Tiles of the identity that stays: the layer's input leaves the chip through the array."""
        array = self.config.array
        return self.unit**2 // (array.rows * array.columns) if self.streamed else 0

    @property
    def identity(self) -> int:
        """Where the identity begins: behind the values, or, if it does not stay, in the ring."""
        return self.ring + self.head_operands if self.streamed else 0

    @property
    def operand_need(self) -> int:
        """Tiles with the shortest ring."""
        return self.head_operands + self.identity_tiles + self.slot

    # -- activation memory -------------------------------------------------------------------

    @property
    def head_queries(self) -> int:
        """Words of a head's queries; also of its context. No fewer than there are units."""
        return max(self.tokens * self.head_steps, self.units)

    @property
    def queries(self) -> int:
        """Where the queries of two heads begin: behind the tokens' words."""
        words = self.input_block * self.steps
        return max(words, 2 * self.head_powers) if self.streamed else words

    @property
    def powers(self) -> int:
        """Where the probabilities of two heads begin: behind the queries, or in front of them."""
        if self.streamed:
            return self.queries - 2 * self.head_powers
        return self.queries + 2 * self.head_queries

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
        attention = max(self.powers + 2 * self.head_powers, self.queries + 2 * self.head_queries)
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

        Behind the residual, as far as that leaves room; or, unless it stays there, in the place of
        a block's last tokens.
        """
        residual = self.token_block * self.wide_stride
        end = self.config.memory.wide_words if self.resident else residual
        return max(0, min(residual, end - 2 * self.head_scores))

    @property
    def untouched(self) -> int:
        """Tokens of a block whose residual's place has no scores."""
        return self.scores // self.wide_stride

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
