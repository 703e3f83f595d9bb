"""Read activation memory back: multiply its words by the identity.

No path leads from activation memory to STORE, and none is needed. A word times the identity
matrix is its mantissas shifted by its exponent; a scale of one keeps those numbers; and
normalising them from base 0 finds the same exponent and mantissas again, since the exponent was the
smallest that holds the word. So a MATMUL of one step for each word, drained as a stream, copies
activation memory to external memory bit for bit.
"""

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import FIXED_BITS, Config, ConfigError
from systolith_hw.isa import DrainKind, LoadKind, StoreKind
from systolith_sim.dma.pages import pack_scales

from ..program import Program
from .layout import MemoryMap, Region, WordRuns
from .tiling import Tiling

__all__ = ["Readback"]

UNITY = (0x8000, 15, 0)
"""Scale, shift and bias that change nothing."""


class Readback:
    """Copy words of activation memory to external memory, as one product.

    Parameters
    ----------
    config : Config
        What it runs on.
    words : int
        How many words.
    regions : MemoryMap
        Gains the regions "identity", "unity" and "output".

    Raises
    ------
    ConfigError
        If a word of this config can be wider than fixed point.
    """

    def __init__(self, config: Config, words: int, regions: MemoryMap) -> None:
        array = config.array
        if array.mantissa_bits + array.window > FIXED_BITS:
            raise ConfigError(
                f"array.mantissa_bits {array.mantissa_bits} plus array.window {array.window} must "
                f"be at most {FIXED_BITS} to read activation memory back; choose another output"
            )
        self.config = config
        self.words = words
        side = max(array.rows, array.columns)
        self.tiling = tiling = Tiling(config, words, array.rows, side)
        self.runs = WordRuns(config, words * tiling.out_words)
        self.identity = regions.add("identity", tiling.group_stride)
        self.unity = regions.add("unity", len(self._unity()))
        self.output: Region = regions.add("output", self.runs.size)

    def _unity(self) -> bytes:
        channels = self.tiling.group_scales * self.config.vector.lanes
        scale, shift, bias = (np.full(channels, value) for value in UNITY)
        return pack_scales(scale, shift, bias)

    @property
    def parts(self) -> dict[int, bytes]:
        """Contents of external memory by address."""
        eye = np.eye(self.tiling.k, self.tiling.n, dtype=np.int8)
        return {
            self.identity.address: self.tiling.pack_weights(eye),
            self.unity.address: self._unity(),
        }

    def program(self, first: int) -> bytes:
        """Return the program that copies words from ``first`` on; it overwrites operand tile 0
        and on, and the first scales."""
        tiling = self.tiling
        program = Program(self.config)
        program.load(
            LoadKind.OPERAND_ROWS, address=self.identity.address,
            elements=tiling.row_writes(tiling.tiles),
        )  # fmt: skip
        program.load(LoadKind.SCALE, address=self.unity.address, elements=tiling.group_scales)
        program.barrier()
        program.matmul(
            activation=first, activation_stride=1, steps=1, tokens=self.words, groups=1,
            tiles=tiling.tiles, tiles_last=tiling.tiles_last,
        )  # fmt: skip
        program.drain(
            DrainKind.STREAM, tokens=self.words, groups=1, tiles=tiling.tiles,
            tiles_last=tiling.tiles_last, columns_last=tiling.columns_last,
        )  # fmt: skip
        address = self.output.address
        for count in self.runs.counts:
            program.store(StoreKind.STREAM, address=address, elements=count)
            address += self.runs.stride
        program.end()
        return program.assemble()

    def unpack(self, memory: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return mantissas (words, R) and exponents (words,) from external memory."""
        mantissas, exponents = self.runs.unpack(memory, self.output.address)
        # A tile that is wider than a word gives more words, which are zero.
        return mantissas[:: self.tiling.out_words], exponents[:: self.tiling.out_words]
