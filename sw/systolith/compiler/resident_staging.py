"""What lies in external memory while matrices in operand memory are multiplied by words.

That memory may be tiny. First weights pass through it in pieces, once. Then it has the words of one
token, a program for each shape of a product, and as many results as there is room for: a matrix of
more channels is multiplied in slices. Register POSITION tells a program where its operands are.

The scale entries of all channels say one (:data:`.readback.UNITY`), so they stay on the chip, too.
What comes back is a sum as the requantiser sees it, of 18 bits and a sticky one: requantising that
gives what requantising the sum gives. It has 32 bits; larger sums come back in another *level*,
whose results are shifted right by :data:`LEVEL_BITS` more.
"""

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import (
    FIXED_BITS,
    INSTRUCTION_BYTES,
    WEIGHT_BITS,
    Config,
    ConfigError,
)
from systolith_hw.isa import DrainKind, LoadKind, Register, StoreKind
from systolith_sim.dma.pages import pack_scales, page_bytes

from ..program import Program
from .layout import MemoryMap, Region, pad
from .readback import UNITY
from .resident_plan import ResidentPlan

__all__ = ["LEVEL_BITS", "Loader", "Staging", "least_bytes", "level_of"]

LEVEL_BITS = 15
"""Zeros, but for the sticky bit, at the end of each sum of more than 32 bits."""

PRODUCT_INSTRUCTIONS = 5


def level_of(mantissas: NDArray[np.integer], exponents: NDArray[np.integer]) -> int:
    """Return the level that has room for any sum of words (steps, R), (steps,) times weights."""
    values = np.abs(mantissas.astype(np.int64)) << exponents.astype(np.int64)[:, None]
    largest = int(values.sum()) << WEIGHT_BITS - 1
    return max(0, -(-(largest.bit_length() - (FIXED_BITS - 1)) // LEVEL_BITS))


class Loader:
    """The program that brings weights to the chip, piece by piece.

    Parameters
    ----------
    plan : ResidentPlan
    memory_bytes : int
        Of external memory: the program is at address 0, a piece behind it.

    Attributes
    ----------
    program : bytes
    address : int
        Of the piece.
    tiles : int
        Of each piece, which goes to tile POSITION and on.
    """

    def __init__(self, plan: ResidentPlan, memory_bytes: int) -> None:
        config = plan.config
        port, most = config.bus.data_bytes, config.sequencer.largest_count
        tile_bytes = config.array.rows * config.array.columns
        writes = config.array.rows // config.write_rows
        self.address = pad(2 * INSTRUCTION_BYTES, port)
        room = min(memory_bytes - self.address, most * port) // tile_bytes
        self.tiles = max(1, min(room, most // writes, plan.tiles))
        program = Program(config)
        program.load(
            LoadKind.OPERAND_ROWS, address=self.address, elements=self.tiles * writes,
            patches={"local": Register.POSITION},
        )  # fmt: skip
        program.end()
        self.program = program.assemble()


class Staging:
    """The layout of external memory.

    Parameters
    ----------
    plan : ResidentPlan
    memory_bytes : int
        At least :func:`least_bytes`.

    Attributes
    ----------
    inputs, results, entry, filler : int
        Addresses of a token's words, of a slice's results, of a scale word, and of the program that
        fills scale memory with it.
    slices : list of list of (int, int)
        For each matrix, first output tile and output tiles of each slice. Those of a matrix are of
        one size: the last one may begin within the one before.

    Raises
    ------
    ConfigError
        If there is too little memory.
    """

    def __init__(self, plan: ResidentPlan, memory_bytes: int) -> None:
        self.config = plan.config
        sizes = range(plan.most_panels, 0, -1)
        panels = next((one for one in sizes if _size(plan, one) <= memory_bytes), 0)
        if not panels:
            raise ConfigError(
                f"{plan.what} needs {least_bytes(plan):,} bytes of external memory, not "
                f"{memory_bytes:,}"
            )
        self.slices = [_cut(matrix.panels, panels) for matrix in plan.matrices]
        regions = _regions(plan, panels)
        self.inputs, self.results, self.entry, self.filler = (
            regions[name].address for name in ("inputs", "results", "entry", "filler")
        )
        self._programs = {
            shape: regions[str(shape)].address for shape in _shapes(plan, panels)
        }
        self.parts = {
            address: _product(plan.config, *shape, self.inputs, self.results)
            for shape, address in self._programs.items()
        }
        self.parts[self.filler] = _fill(plan.config, self.entry)

    def program(self, steps: int, panels: int) -> int:
        """Return the address of the program for a slice of such a shape."""
        return self._programs[steps, panels]

    def unity(self, level: int) -> bytes:
        """Return the scale word of a level."""
        scale, shift, bias = (np.full(self.config.vector.lanes, value) for value in UNITY)
        return pack_scales(scale, shift + level * LEVEL_BITS, bias)


def least_bytes(plan: ResidentPlan) -> int:
    """Return the bytes of external memory without which matrices cannot be multiplied."""
    return min(_size(plan, panels) for panels in range(1, plan.most_panels + 1))


def _cut(panels: int, most: int) -> list[tuple[int, int]]:
    """Return the slices of so many output tiles, of at most so many each."""
    count = -(-panels // most)
    size = -(-panels // count)
    return [(min(number * size, panels - size), size) for number in range(count)]


def _shapes(plan: ResidentPlan, panels: int) -> list[tuple[int, int]]:
    """Return the shapes of all slices, in steps and output tiles."""
    return sorted({(one.steps, _cut(one.panels, panels)[0][1]) for one in plan.matrices})


def _size(plan: ResidentPlan, panels: int) -> int:
    """Return the bytes of external memory that slices of so many output tiles take."""
    return max(region.end for region in _regions(plan, panels).values())


def _regions(plan: ResidentPlan, panels: int) -> dict[str, Region]:
    """Return all regions of external memory by name; a shape is the name of its program."""
    config, shapes = plan.config, _shapes(plan, panels)
    regions = MemoryMap(config, plan.what)
    # Words are at address 0, and begin a frame of a host link.
    regions.add("inputs", page_bytes(config, max(steps for steps, _ in shapes)))
    for shape in shapes:
        regions.add(str(shape), PRODUCT_INSTRUCTIONS * INSTRUCTION_BYTES)
    regions.add("entry", config.scale_word_bytes)
    regions.add("filler", (len(_fill_runs(config)) + 1) * INSTRUCTION_BYTES)
    words = max(panels for _, panels in shapes) * config.beats_per_result
    regions.add("results", words * config.wide_word_bytes)
    return regions.regions


def _product(config: Config, steps: int, panels: int, inputs: int, results: int) -> bytes:
    """Return the program that multiplies words by operands from tile POSITION on."""
    program = Program(config)
    arrived, ready = program.semaphore("words are there"), program.semaphore("results are there")
    program.load(LoadKind.ACTIVATION, address=inputs, elements=steps, post_outer=arrived)
    program.matmul(
        steps=steps, tiles=panels, wait_outer=arrived, patches={"operand": Register.POSITION}
    )
    program.drain(DrainKind.WIDE, tiles=panels, post_outer=ready)
    program.store(
        StoreKind.WIDE, address=results, elements=panels * config.beats_per_result,
        wait_outer=ready,
    )  # fmt: skip
    program.end()
    return program.assemble()


def _fill_runs(config: Config) -> list[tuple[int, int]]:
    """Return the first scale word and the words of each LOAD that fills scale memory."""
    words, most = config.memory.scale_words, config.sequencer.largest_count
    return [(first, min(most, words - first)) for first in range(0, words, most)]


def _fill(config: Config, entry: int) -> bytes:
    """Return the program that fills scale memory with one word."""
    program = Program(config)
    for first, words in _fill_runs(config):
        program.load(
            LoadKind.SCALE, address=entry, elements=1, rows=words, row_stride=0, local=first,
            local_stride=1,
        )  # fmt: skip
    program.end()
    return program.assemble()
