"""Where tables lie of what a small model's tokens begin with.

The host knows all that is made of a token before the first matrix: the sum of its row of the
embedding and of a learned position's, and the words that the first norm makes of that. Where there
is room on the chip, both come in tables with a row for every token, and the core takes that of the
token it has chosen without asking external memory. Each table has two halves: one for the position
at hand, the other for the next one, which LOAD fills meanwhile.
"""

from dataclasses import dataclass

from systolith_hw.config import Config

from .layout import log2, power_of_two

__all__ = ["OpeningTables"]

SHARE = 4
"""Of either memory the tables take at most this part."""


@dataclass(frozen=True)
class OpeningTables:
    """Sizes of the tables.

    Parameters
    ----------
    config : Config
    features, vocabulary : int
    """

    config: Config
    features: int
    vocabulary: int

    @property
    def rows(self) -> int:
        """Tokens of a half, raised to a power of two."""
        return power_of_two(self.vocabulary)

    @property
    def word_stride(self) -> int:
        """Activation words from token to token, a power of two."""
        return power_of_two(-(-self.features // self.config.array.rows))

    @property
    def sum_stride(self) -> int:
        """Wide words from token to token, whole tiles of them, raised to a power of two: as many as
        a row has in external memory."""
        words = -(-self.features // self.config.array.columns) * self.config.beats_per_result
        port = self.config.bus.data_bytes // self.config.wide_word_bytes
        return power_of_two(max(words, port))

    @property
    def lift(self) -> int:
        """Bits by which words in front of a token's are shifted for the wide words in front of its
        sum."""
        return log2(self.sum_stride) - log2(self.word_stride)

    @property
    def words(self) -> int:
        """Activation words of both halves."""
        return 2 * self.rows * self.word_stride

    @property
    def sums(self) -> int:
        """Wide words of both halves."""
        return 2 * self.rows * self.sum_stride

    @property
    def fit(self) -> bool:
        """Whether they leave room for all else."""
        memory = self.config.memory
        return (
            SHARE * self.words <= memory.activation_words
            and SHARE * self.sums <= memory.wide_words
        )
