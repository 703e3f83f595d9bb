"""How a matrix product is cut into groups, tiles and steps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError
from systolith_sim.dma.pages import page_bytes

from .layout import pad

__all__ = ["Tiling"]


@dataclass(frozen=True)
class Tiling:
    """How an M x K by K x N product is cut, and how large the pieces are.

    Parameters
    ----------
    config : Config
        Shapes.
    m, k, n : int
        Tokens, reduction, output channels.
    """

    config: Config
    m: int
    k: int
    n: int

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be cut."""
        for name in ("m", "k", "n"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        longest = self.config.array.max_k
        if self.k > longest:
            raise ConfigError(
                f"k {self.k} is too large: array.max_k is {longest}; lower k to {longest}, or "
                "raise array.max_k, to 65536 at most"
            )

    @property
    def steps(self) -> int:
        """Activation words of a token, and operand tiles of a panel."""
        return -(-self.k // self.config.array.rows)

    @property
    def output_tiles(self) -> int:
        """Panels of C output channels."""
        return -(-self.n // self.config.array.columns)

    @property
    def tiles(self) -> int:
        """Output tiles of a group."""
        return min(self.config.tiles_per_group, self.output_tiles)

    @property
    def groups(self) -> int:
        """Groups, the last of which may be smaller."""
        return -(-self.output_tiles // self.tiles)

    @property
    def tiles_last(self) -> int:
        """Output tiles of the last group."""
        return self.output_tiles - (self.groups - 1) * self.tiles

    @property
    def columns_last(self) -> int:
        """Channels of the very last tile."""
        return self.n - (self.output_tiles - 1) * self.config.array.columns

    @property
    def slot(self) -> int:
        """Operand tiles of a group."""
        return self.tiles * self.steps

    @property
    def group_words(self) -> int:
        """Activation words that DRAIN makes of a group, for each token."""
        return -(-self.tiles * self.config.array.columns // self.config.array.rows)

    @property
    def out_words(self) -> int:
        """Activation words that DRAIN makes for each token."""
        return self.groups * self.group_words

    @property
    def wide_words(self) -> int:
        """Wide words that DRAIN makes for each token."""
        return self.output_tiles * self.config.beats_per_result

    @property
    def group_scales(self) -> int:
        """Scale words of a group, and wide words that DRAIN makes of it for each token."""
        return self.tiles * self.config.beats_per_result

    @property
    def input_stride(self) -> int:
        """Bytes of one token's activation words in external memory."""
        return pad(page_bytes(self.config, self.steps), self.config.bus.data_bytes)

    @property
    def group_stride(self) -> int:
        """Bytes from one group's weights to the next's in external memory."""
        size = self.row_writes(self.tiles) * self.config.row_write_bytes
        return pad(size, self.config.bus.data_bytes)

    def row_writes(self, tiles: int) -> int:
        """Return the row writes of ``tiles`` panels, of which all but the last fill whole tiles."""
        per_tile = self.config.array.rows // self.config.write_rows
        return (tiles - 1) * self.steps * per_tile - (-self.k // self.config.write_rows)

    def pack_weights(self, weights: NDArray[np.integer]) -> bytes:
        """Return the weights (K, N), group after group, ``group_stride`` bytes apart.

        Panels begin at whole tiles, so that a group is one run.
        """
        columns, config = self.config.array.columns, self.config
        shape = (self.steps * config.array.rows, self.groups * self.tiles * columns)
        padded = np.zeros(shape, np.int8)
        padded[: self.k, : self.n] = weights
        panels = padded.reshape(shape[0], self.groups, -1, columns).transpose(1, 2, 0, 3)
        used = self.row_writes(self.tiles) * config.row_write_bytes
        runs = panels.reshape(self.groups, -1)[:, :used]
        return np.pad(runs, ((0, 0), (0, self.group_stride - used))).tobytes()
