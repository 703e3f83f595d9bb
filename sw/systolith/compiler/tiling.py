"""How a matrix product is cut into groups, tiles and steps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.code_pages import PARAMETER_BITS, CodePage
from systolith_hw.config import CODE_BITS, CODE_GROUP, WEIGHT_BITS, Config, ConfigError
from systolith_hw.isa import LoadKind
from systolith_sim.dma.pages import page_bytes
from systolith_sim.machine.transfer import load_bytes

from .layout import pad
from .recipes import NOTHING, pack_recipes

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
    kind : LoadKind
        OPERAND_ROWS for weights of 8 bits, or that of their codes.
    """

    config: Config
    m: int
    k: int
    n: int
    kind: LoadKind = LoadKind.OPERAND_ROWS

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
        if self.page is not None and not self.config.bus.codecs:
            raise ConfigError(
                "weights of 4 bits take a core that expands them: set bus.codecs to true, or take "
                "weights int8"
            )

    @property
    def steps(self) -> int:
        """Activation words of a token, and operand tiles that a panel is multiplied from."""
        return -(-self.k // self.config.array.rows)

    @property
    def page(self) -> CodePage | None:
        """The pages of codes, if that is what weights are."""
        return CodePage(self.config, self.kind) if self.kind in PARAMETER_BITS else None

    @property
    def panel(self) -> int:
        """Operand tiles from one panel to the next: those of codes begin with a page."""
        rows = self.config.array.rows
        whole = rows if self.page is None else max(rows, self.page.rows)
        return pad(self.k, whole) // rows

    @property
    def operand_stride(self) -> int:
        """The same as MATMUL has it: 0 where panels follow one another."""
        return self.panel if self.panel > self.steps else 0

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
        return self.tiles * self.panel

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
        size = load_bytes(self.config, self.kind, self.row_writes(self.tiles))
        return pad(size, self.config.bus.data_bytes)

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights, padding left out: the fewest that they can be."""
        if self.kind not in PARAMETER_BITS:
            return self.k * self.n * WEIGHT_BITS / 8
        parameters = -(-self.k // CODE_GROUP) * PARAMETER_BITS[self.kind]
        return (self.k * CODE_BITS + parameters) * self.n / 8

    def row_writes(self, tiles: int) -> int:
        """Return the row writes of ``tiles`` panels, of which all but the last fill whole tiles."""
        per_tile = self.config.array.rows // self.config.write_rows
        return (tiles - 1) * self.panel * per_tile - (-self.k // self.config.write_rows)

    def pack_weights(self, weights: NDArray[np.integer]) -> bytes:
        """Return the weights (K, N), group after group, ``group_stride`` bytes apart.

        Where they are coded, :mod:`.recipes` are given in their place. Panels begin at whole tiles,
        and pages, so that a group is one run.
        """
        columns, config = self.config.array.columns, self.config
        shape = (self.panel * config.array.rows, self.groups * self.tiles * columns)
        padded = np.full(shape, 0 if self.page is None else NOTHING, np.int32)
        padded[: self.k, : self.n] = weights
        panels = padded.reshape(shape[0], self.groups, -1, columns).transpose(1, 2, 0, 3)
        rows = self.row_writes(self.tiles) * config.write_rows
        used = panels.reshape(self.groups, -1, columns)[:, :rows]
        if self.page is None:
            runs = used.astype(np.int8).reshape(self.groups, -1)
        else:
            runs = pack_recipes(self.page, used).view(np.int8)
        return np.pad(runs, ((0, 0), (0, self.group_stride - runs.shape[1]))).tobytes()
