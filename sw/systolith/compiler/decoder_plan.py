"""Plan a language model that lies on the chip whole: where everything is.

What layers have in common comes in *blocks* of equal size, one for each layer, in two memories:

* operand memory: K, Q and V side by side; the output matrix; gate and up side by side; the down
  matrix; the layer's keys; its values. The head lies behind all blocks.
* scale memory: the entries of these matrices in the order of their use; the exponents of keys and
  of values. Those of the head lie behind, and in front of them, where some norm is not deferred,
  the entries with which NORM multiplies by one.

The output and down matrices are cut along their inputs into *chunks*, each of which is multiplied
as soon as its inputs are there.
"""

import dataclasses
import itertools
import typing
from dataclasses import dataclass
from functools import cached_property

from systolith_hw.config import Config

from .decoder_shape import DecoderShape
from .layout import power_of_two, starts
from .opening_tables import OpeningTables

__all__ = ["DecoderPlan"]


@dataclass(frozen=True, kw_only=True)
class DecoderPlan:
    """All decisions about a language model; addresses are those of memories on the chip.

    Parameters
    ----------
    config : Config
    shape : DecoderShape
    tokens : int
        Most tokens of a text.
    output_chunk, down_chunk : int
        Inputs of the two matrices that are multiplied at once.
    """

    config: Config
    shape: DecoderShape
    tokens: int
    output_chunk: int
    down_chunk: int

    # -- cuts --------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """Activation words of a token."""
        return self.words(self.shape.features)

    @property
    def tiles(self) -> int:
        """Output tiles of the features."""
        return self.panels(self.shape.features)

    @property
    def features_last(self) -> int:
        """Features in the last of them."""
        return self._last(self.shape.features)

    @property
    def head_tiles(self) -> int:
        """Output tiles of a head, a power of two, so that the angles repeat."""
        return power_of_two(self.panels(self.shape.head))

    @property
    def head_words(self) -> int:
        """Activation words of a head."""
        return self.tile_words(self.head_tiles)

    @property
    def hidden_tiles(self) -> int:
        """Output tiles of the hidden values."""
        return self.panels(self.shape.hidden)

    @property
    def hidden_last(self) -> int:
        """Hidden values in the last of them."""
        return self._last(self.shape.hidden)

    @property
    def shared_inputs(self) -> int:
        """Inputs of the output matrix, in whole words, from heads that share keys and values."""
        return self.shape.share * self.words(self.shape.head) * self.config.array.rows

    @property
    def head_groups(self) -> tuple[int, ...]:
        """Heads of keys and values whose context each chunk of the output matrix takes."""
        return cut(self.shape.key_heads, max(1, self.output_chunk // self.shared_inputs))

    @property
    def head_ends(self) -> tuple[int, ...]:
        """Heads of keys and values up to the end of each chunk of the output matrix."""
        return tuple(itertools.accumulate(self.head_groups))

    @property
    def hidden_groups(self) -> tuple[int, ...]:
        """Words of hidden values that each chunk of the down matrix takes."""
        words = self.words(self.shape.hidden)
        return cut(words, max(1, self.down_chunk // self.config.array.rows))

    @property
    def unit(self) -> int:
        """Tokens that places for keys and values are a multiple of."""
        return max(self.config.array.rows, self.config.array.columns)

    @property
    def places(self) -> int:
        """Tokens that there are places for."""
        return -(-self.tokens // self.unit) * self.unit

    # -- operand memory ----------------------------------------------------------------------

    @property
    def projection_tiles(self) -> int:
        """Output tiles of K, Q and V together."""
        return (self.shape.heads + 2 * self.shape.key_heads) * self.head_tiles

    @property
    def output_steps(self) -> int:
        """Activation words of the context."""
        return self.shape.heads * self.head_words

    @property
    def output_matrix(self) -> int:
        """Where a block's output matrix begins."""
        return self.projection_tiles * self.steps

    @property
    def expansion(self) -> int:
        """Where a block's gate and up matrices begin."""
        return self.output_matrix + self.tiles * self.output_steps

    @property
    def down_matrix(self) -> int:
        """Where a block's down matrix begins."""
        return self.expansion + (1 + self.shape.gated) * self.hidden_tiles * self.steps

    @property
    def keys(self) -> int:
        """Where a block's keys begin, head after head."""
        return self.down_matrix + self.tiles * self.words(self.shape.hidden)

    @property
    def key_stride(self) -> int:
        """Tiles from the keys of C tokens to the next ones', a power of two."""
        return power_of_two(self.head_words)

    @property
    def head_keys(self) -> int:
        """Tiles of one head's keys."""
        return self.places // self.config.array.columns * self.key_stride

    @property
    def values(self) -> int:
        """Where a block's values begin, head after head."""
        return self.keys + self.shape.key_heads * self.head_keys

    @property
    def value_stride(self) -> int:
        """Tiles from the values of C features to the next ones'."""
        return self.places // self.config.array.rows

    @property
    def head_values(self) -> int:
        """Tiles of one head's values."""
        return self.head_tiles * self.value_stride

    @property
    def block_tiles(self) -> int:
        """Tiles from block to block."""
        return self.values + self.shape.key_heads * self.head_values

    @property
    def head_matrix(self) -> int:
        """Where the head's matrix begins."""
        return self.shape.layers * self.block_tiles

    @property
    def vocabulary_tiles(self) -> int:
        """Output tiles of the head."""
        return self.panels(self.shape.vocabulary)

    @property
    def vocabulary_last(self) -> int:
        """Tokens in the last of them."""
        return self._last(self.shape.vocabulary)

    @property
    def operand_need(self) -> int:
        """Tiles altogether."""
        return self.head_matrix + self.vocabulary_tiles * self.steps

    # -- activation memory: the residual's words first ---------------------------------------

    @property
    def queries(self) -> int:
        """Where the queries begin, head after head."""
        return self.tile_words(self.tiles)

    @property
    def powers(self) -> int:
        """Where the probabilities begin."""
        return self.queries + self.output_steps

    @property
    def powers_stride(self) -> int:
        """Words of a head's probabilities."""
        return self.words(self.places)

    @property
    def context(self) -> int:
        """Where the context begins, head after head."""
        return self.powers + self.shape.heads * self.powers_stride

    @property
    def hidden(self) -> int:
        """Where the hidden words begin."""
        return self.context + self.output_steps

    @property
    def openings(self) -> int:
        """Where the table begins of the words that tokens begin with, if there is one."""
        return self.hidden + self.tile_words(self.hidden_tiles)

    @property
    def activation_need(self) -> int:
        """Words altogether."""
        return self.openings + self.shape.tabled * self.opening_tables.words

    # -- wide memory: cosines and sines of the token's position first ------------------------

    @property
    def angle_words(self) -> int:
        """Wide words of a position's cosines and sines, a power of two, or none."""
        return 2 * self.beats(self.head_tiles) * self.shape.rotary

    @property
    def residual(self) -> int:
        """Where the residual begins."""
        return self.angle_words

    @property
    def scores(self) -> int:
        """Where the scores begin, head after head."""
        return self.residual + self.beats(self.tiles)

    @property
    def scores_stride(self) -> int:
        """Wide words of a head's scores."""
        return self.beats(self.places // self.config.array.columns)

    @property
    def gates(self) -> int:
        """Where the gates begin, and afterwards logits that are to be stored."""
        return self.scores + self.shape.heads * self.scores_stride

    @property
    def best(self) -> int:
        """The word that holds the likeliest token."""
        return self.gates + self.beats(self.hidden_tiles)

    @property
    def sums(self) -> int:
        """Where the table begins of the residuals that tokens begin with, if there is one."""
        return self.best + 1

    @property
    def wide_need(self) -> int:
        """Words altogether."""
        return self.sums + self.shape.tabled * self.opening_tables.sums

    @property
    def opening_tables(self) -> OpeningTables:
        """Sizes of these tables."""
        return OpeningTables(self.config, self.shape.features, self.shape.vocabulary)

    # -- scale memory ------------------------------------------------------------------------

    @cached_property
    def tables(self) -> dict[str, int]:
        """Where each table of a block begins, in scale words, in their order; "end" behind them."""
        heads, groups = self.shape.heads, self.shape.key_heads
        head, hidden = self.beats(self.head_tiles), self.beats(self.hidden_tiles)
        return starts({
            "attention_norm": self.norm_entries,
            "key": groups * head, "query": heads * head, "value": groups * head,
            "output": self.beats(self.tiles), "hidden_norm": self.norm_entries,
            "gate": hidden * self.shape.gated, "up": hidden,
            "down": self.beats(self.tiles),
        })  # fmt: skip

    @property
    def head_entries(self) -> int:
        """Scale words of the exponents of one head's keys, or values."""
        return self.places // self.config.vector.lanes

    @property
    def key_entries(self) -> int:
        """Where the exponents of a block's keys begin, head after head."""
        return self.tables["end"]

    @property
    def value_entries(self) -> int:
        """Where the exponents of a block's values begin, head after head."""
        return self.key_entries + self.shape.key_heads * self.head_entries

    @property
    def block_entries(self) -> int:
        """Scale words from block to block."""
        return self.value_entries + self.shape.key_heads * self.head_entries

    @property
    def norm_entries(self) -> int:
        """Scale words of a norm's own in a block: none, since all norms multiply by one."""
        return 0

    @property
    def unit_table(self) -> int:
        """Where the entries of norms begin, which are one; those of the head are behind them."""
        return self.shape.layers * self.block_entries

    @property
    def unit_entries(self) -> int:
        """Scale words of these entries."""
        whole = not self.shape.deferred or self.shape.tabled
        return self.beats(self.tiles) if whole else 0

    @property
    def head_table(self) -> int:
        """Where the head's entries begin."""
        return self.unit_table + self.unit_entries

    @property
    def scale_need(self) -> int:
        """Words altogether."""
        return self.head_table + self.beats(self.vocabulary_tiles)

    # -- sizes -------------------------------------------------------------------------------

    def words(self, values: int) -> int:
        """Return the activation words of so many values."""
        return -(-values // self.config.array.rows)

    def tile_words(self, tiles: int) -> int:
        """Return the activation words that so many output tiles become."""
        return self.words(tiles * self.config.array.columns)

    def panels(self, channels: int) -> int:
        """Return the output tiles of so many channels."""
        return -(-channels // self.config.array.columns)

    def beats(self, tiles: int) -> int:
        """Return the wide or scale words of so many output tiles."""
        return tiles * self.config.beats_per_result

    def _last(self, channels: int) -> int:
        return channels - (self.panels(channels) - 1) * self.config.array.columns

    def with_tokens(self, tokens: int) -> typing.Self:
        """Return the same for other texts."""
        return dataclasses.replace(self, tokens=tokens)


def cut(count: int, each: int) -> tuple[int, ...]:
    """Return how many come at once: ``each`` as often as possible, then the rest."""
    full, rest = divmod(count, each)
    return (each,) * full + (rest,) * bool(rest)
