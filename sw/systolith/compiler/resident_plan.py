"""Plan many matrices that stay in operand memory, for a core that does nothing but multiply."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError

__all__ = ["ResidentMatrix", "ResidentPlan", "pack_operands"]


def pack_operands(config: Config, weights: NDArray[np.int8]) -> bytes:
    """Return weights (K, N), N whole tiles, in the order of operand memory."""
    rows, columns = config.array.rows, config.array.columns
    padded = np.pad(weights, ((0, -len(weights) % rows), (0, 0)))
    return padded.reshape(len(padded), -1, columns).transpose(1, 0, 2).tobytes()


@dataclass(frozen=True)
class ResidentMatrix:
    """A matrix in operand memory.

    Parameters
    ----------
    place : int
        Its first tile.
    steps : int
        Activation words of a token.
    panels : int
        Output tiles of C channels, each of ``steps`` operand tiles.
    """

    place: int
    steps: int
    panels: int

    @property
    def end(self) -> int:
        """One past its last tile."""
        return self.place + self.steps * self.panels


class ResidentPlan:
    """Where matrices are in operand memory.

    Parameters
    ----------
    config : Config
    shapes : sequence of (int, int)
        K and N of each matrix; N is whole tiles.
    what : str
        What they are of, for sentences.

    Attributes
    ----------
    matrices : list of ResidentMatrix
    tiles : int
        Of operand memory, from 0 on.

    Raises
    ------
    ConfigError
        If they do not fit, in a sentence that says what would do.
    """

    def __init__(self, config: Config, shapes: Sequence[tuple[int, int]], what: str) -> None:
        self.config, self.what = config, what
        self.matrices: list[ResidentMatrix] = []
        self.tiles = 0
        for inputs, channels in shapes:
            steps, panels = -(-inputs // config.array.rows), channels // config.array.columns
            self.matrices.append(ResidentMatrix(self.tiles, steps, panels))
            self.tiles = self.matrices[-1].end
        # First what no other setting would help against.
        weights = sum(inputs * channels for inputs, channels in shapes)
        self._require(
            "memory.operand_tiles", self.tiles, config.memory.operand_tiles,
            f"{weights:,} weights, all of which stay on a chip without a row unit (vector.rows is "
            "0); take a smaller model, or a core with a row unit, as preset ulx3s has, to which "
            "they are streamed",
        )  # fmt: skip
        longest = max(inputs for inputs, _ in shapes)
        self._require("array.max_k", longest, config.array.max_k, "inputs of a product")
        self._require(
            "memory.activation_words", max(matrix.steps for matrix in self.matrices),
            config.memory.activation_words, f"{longest} inputs of a product",
        )  # fmt: skip

    @property
    def most_panels(self) -> int:
        """Output tiles of a product whose results, and whose scale entries, fit the chip."""
        memory, most = self.config.memory, self.config.sequencer.largest_count
        run = most * self.config.bus.data_bytes // self.config.wide_word_bytes
        words = min(memory.wide_words, memory.scale_words, most, run)
        return min(words // self.config.beats_per_result, max(one.panels for one in self.matrices))

    def _require(self, name: str, need: int, have: int, why: str) -> None:
        if need > have:
            raise ConfigError(
                f"{self.what} does not fit: {name} must be at least {need}, not {have}, for {why}"
            )
