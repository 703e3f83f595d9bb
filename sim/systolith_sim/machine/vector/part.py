"""Turns of DRAIN that are carried out together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.config import Config
from systolith_hw.drain_rules import SHARED
from systolith_hw.isa import DrainKind, Unit

from ..races import CLOCKS

__all__ = ["OPERANDS", "STREAMS", "Part", "tiles_last"]

OPERANDS = (DrainKind.KEYS, DrainKind.VALUES)
"""Kinds that write operand memory."""

STREAMS = (DrainKind.STREAM, DrainKind.HEADS)
"""Kinds that hand words to STORE."""


def tiles_last(fields: dict[str, int]) -> int:
    """Return the tiles of the last group."""
    return fields["tiles"] if fields["kind"] in SHARED else fields["tiles_last"]


class Part:
    """Some turns, with all their results and what is known at the last one of each.

    Attributes
    ----------
    group, token : (turns,) int64
        Which.
    tiles : int
        Results of each.
    values : (turns, tiles * C) int64
        The results, channel after channel.
    clocks : (turns, CLOCKS) int64
        The clocks of their last results.
    """

    def __init__(
        self, fields: dict[str, int], turns: NDArray[np.int64], tiles: int,
        values: NDArray[np.int64], clocks: NDArray[np.int64],
    ) -> None:  # fmt: skip
        self.fields = fields
        self.group, self.token = np.divmod(turns, fields["tokens"])
        self.tiles = tiles
        self.values = values.reshape(len(turns), -1)
        self.clocks = clocks[tiles - 1 :: tiles]

    @property
    def time(self) -> NDArray[np.int64]:
        """When each turn makes its accesses, as a column."""
        return self.clocks[:, Unit.VECTOR, None]

    def known(self) -> Sequence[ArrayLike]:
        """Return for each entry of a clock its values per turn, as a column."""
        return [self.clocks[:, index : index + 1] for index in range(CLOCKS)]

    def valid(self, config: Config) -> int:
        """Return how many of the channels exist."""
        channels = self.values.shape[1]
        if self.fields["kind"] in SHARED or self.group[0] < self.fields["groups"] - 1:
            return channels
        return min(channels, channels - config.array.columns + self.fields["columns_last"])

    def places(self, count: int) -> NDArray[np.int64]:
        """Return the addresses (turns, count) that the words of the turns go to."""
        f = self.fields
        starts = f["destination"] + self.token * f["token_stride"] + self.group * f["group_stride"]
        return starts[:, None] + np.arange(count)

    def rows(self) -> NDArray[np.int64]:
        """Return the addresses in row memory (turns, 1)."""
        return self.fields["row"] + self.token[:, None]
