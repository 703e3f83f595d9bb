"""Where the heads' attention lies on the chip, whoever computes its queries, keys and values.

Tokens of a sentence (a *segment*) begin in K and V at a multiple of ``unit``, the segments one
after the other. Of two heads that are computed together the second one's parts lie ``head_...``
words, or ``units`` places, behind the first one's.
"""

import abc
from dataclasses import dataclass

from systolith_hw.config import Config

from .layout import power_of_two

__all__ = ["AttentionPlan"]


@dataclass(frozen=True, kw_only=True)
class AttentionPlan(abc.ABC):
    """Sizes of heads, and where they begin; addresses are those of memories on the chip.

    Parameters
    ----------
    config : Config
    tokens : int
        Most tokens of all segments together.
    segments : int
        Most segments.
    row_block : int
        Rows of scores that are on the chip for each of two heads.
    spill : bool
        The context passes through external memory.
    """

    config: Config
    tokens: int
    segments: int
    row_block: int
    spill: bool

    # -- where each memory's part begins -----------------------------------------------------

    @property
    @abc.abstractmethod
    def head(self) -> int:
        """Features of a head."""

    @property
    @abc.abstractmethod
    def keys(self) -> int:
        """Tile where the keys begin."""

    @property
    @abc.abstractmethod
    def values(self) -> int:
        """Tile where the values begin."""

    @property
    @abc.abstractmethod
    def value_stride(self) -> int:
        """Tiles from the values of C features to the next ones'."""

    @property
    @abc.abstractmethod
    def queries(self) -> int:
        """Activation word where the queries begin."""

    @property
    @abc.abstractmethod
    def head_queries(self) -> int:
        """Words of a head's queries."""

    @property
    @abc.abstractmethod
    def powers(self) -> int:
        """Activation word where the probabilities of two heads begin."""

    @property
    @abc.abstractmethod
    def context(self) -> int:
        """Activation word where the context begins."""

    @property
    @abc.abstractmethod
    def scores(self) -> int:
        """Wide word where the scores of two heads begin."""

    @property
    @abc.abstractmethod
    def key_entries(self) -> int:
        """Scale word where the exponents of keys begin."""

    @property
    @abc.abstractmethod
    def value_entries(self) -> int:
        """Scale word where the exponents of values begin."""

    # -- sizes -------------------------------------------------------------------------------

    @property
    def unit(self) -> int:
        """Tokens that the place of a segment is a multiple of."""
        return max(self.config.array.rows, self.config.array.columns)

    @property
    def units(self) -> int:
        """Places of ``unit`` tokens, enough for any lengths."""
        return (self.tokens + self.segments * (self.unit - 1)) // self.unit

    @property
    def head_steps(self) -> int:
        """Activation words of a token's head."""
        return self.head // self.config.array.rows

    @property
    def head_tiles(self) -> int:
        """Output tiles of a head."""
        return self.head // self.config.array.columns

    @property
    def key_stride(self) -> int:
        """Tiles from the keys of C tokens to the next ones', a power of two."""
        return power_of_two(self.head_steps)

    @property
    def unit_keys(self) -> int:
        """Tiles of a unit's keys."""
        return self.unit // self.config.array.columns * self.key_stride

    @property
    def unit_values(self) -> int:
        """Tiles of a unit's values, of each C features."""
        return self.unit // self.config.array.rows

    @property
    def unit_entries(self) -> int:
        """Scale words of the exponents of a unit's keys, or values."""
        return self.unit // self.config.vector.lanes

    @property
    def scores_stride(self) -> int:
        """Wide words of a row of scores."""
        return -(-self.tokens // self.config.array.columns) * self.config.beats_per_result

    @property
    def head_scores(self) -> int:
        """Wide words of one head's scores."""
        return self.row_block * self.scores_stride

    @property
    def powers_stride(self) -> int:
        """Activation words of a row of probabilities."""
        return -(-self.tokens // self.config.array.rows)

    @property
    def head_powers(self) -> int:
        """Words of one head's probabilities."""
        return self.row_block * self.powers_stride
