"""Sizes of STORE's pages and of the buffer they wait in; plain data, for the memory budget too."""

from ..config import Config
from ..isa import StoreKind

__all__ = ["PageShape"]


class PageShape:
    """Sizes of words, pages and their buffer.

    Parameters
    ----------
    config : Config
        Uses ``array``, ``vector.lanes`` and ``bus``.

    Attributes
    ----------
    word_bytes : tuple of int
        Bytes of a word in external memory, for each :class:`StoreKind`.
    grain_bytes : int
        What is written at least: a beat, or a word if that is smaller.
    pieces : tuple of int
        Beats of a word, at least one, for each kind.
    slack : int
        Free beats that there must be for the next word; a power of two.
    depth : int
        Beats of the buffer: two bursts, the page that comes in, and the slack. A power of two.
    """

    def __init__(self, config: Config) -> None:
        beat = config.bus.data_bytes
        self.word_bytes = config.array.word_bytes, config.wide_word_bytes
        self.grain_bytes = min(beat, *self.word_bytes)
        self.pieces = tuple(max(1, size // beat) for size in self.word_bytes)
        # Pages look at the room of the cycle before, and begin with the place of the exponents.
        # A wide word is asked for while as many beats of the one before may be on their way as
        # reading it and passing it on take cycles.
        passing = 0 if config.short_pipelines else 1
        wide = self.pieces[StoreKind.WIDE] + config.store_latency + passing + 1
        slack = max(self.pieces[StoreKind.STREAM] + 1, wide)
        page = -(-(config.array.rows + 1) * config.array.word_bytes // beat)
        self.slack = _power_of_two(slack)
        self.depth = _power_of_two(2 * config.bus.burst_beats + page + self.slack)

    @property
    def pointer_bits(self) -> int:
        """Width of the number of a beat in the buffer."""
        return (self.depth - 1).bit_length()


def _power_of_two(value: int) -> int:
    """Return the smallest power of two that is not less."""
    return 1 << (value - 1).bit_length()
