"""Products on a device that has all weights in its operand memory."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from systolith_sim.device.device import Device
from systolith_sim.dma.pages import pack_pages
from systolith_sim.vector.requantizer import FIXED_MAX, FIXED_MIN

from ..compiler.resident_plan import ResidentMatrix, ResidentPlan, pack_operands
from ..compiler.resident_staging import LEVEL_BITS, Loader, Staging, level_of
from ..driver import Driver
from ..progress import Progress
from .block import Block

__all__ = ["ProductCore"]

Integers = NDArray[np.int64]


class ProductCore:
    """A device that multiplies for blocks.

    Parameters
    ----------
    device : Device
    plan : ResidentPlan
        Of the blocks' matrices, in order.
    blocks : sequence of Block
        Are given their products from now on.
    progress : Progress
        Told how far the weights are.

    Attributes
    ----------
    runs, cycles : int
        Programs that made products, and the hardware's count of their cycles.
    """

    def __init__(
        self, device: Device, plan: ResidentPlan, blocks: Sequence[Block], progress: Progress
    ) -> None:
        self._device, self._config = device, plan.config
        self._driver = Driver(device, plan.config)
        self._staging = Staging(plan, device.memory_bytes)
        self.runs = self.cycles = 0
        self._load(plan, blocks, progress)
        for address, part in self._staging.parts.items():
            device.write_memory(address, part)
        self._set_level(0)
        for block, matrix, slices in zip(
            blocks, plan.matrices, self._staging.slices, strict=True
        ):
            block.multiply = partial(self._multiply, matrix, slices)

    def _load(self, plan: ResidentPlan, blocks: Sequence[Block], progress: Progress) -> None:
        """Bring the weights to the chip."""
        image = b"".join(pack_operands(self._config, block.weights) for block in blocks)
        tile, loader = len(image) // plan.tiles, Loader(plan, self._device.memory_bytes)
        self._driver.load_program(0, loader.program)
        for begin in range(0, plan.tiles, loader.tiles):
            first = min(begin, plan.tiles - loader.tiles)
            piece = image[first * tile : (first + loader.tiles) * tile]
            self._device.write_memory(loader.address, piece)
            self._driver.run(position=first) if not begin else self._driver.rerun(position=first)
            progress.reached(first + loader.tiles, plan.tiles)

    def _set_level(self, level: int) -> None:
        """Fill scale memory with the word of a level."""
        self._device.write_memory(self._staging.entry, self._staging.unity(level))
        self._driver.run(self._staging.filler)
        self._level = level

    def _multiply(
        self, matrix: ResidentMatrix, slices: Sequence[tuple[int, int]], mantissas: Integers,
        exponents: Integers,
    ) -> Integers:  # fmt: skip
        """Return what requantises to the sums (N,) of a token."""
        words = pack_pages(self._config, mantissas, exponents)
        self._device.write_memory(self._staging.inputs, words)
        sums, clipped = self._results(matrix, slices, 0)
        for level in range(1, level_of(mantissas, exponents) + 1):
            if not clipped.any():
                break
            larger, still = self._results(matrix, slices, level)
            sums = np.where(clipped, larger, sums)
            clipped &= still
        return sums

    def _results(
        self, matrix: ResidentMatrix, slices: Sequence[tuple[int, int]], level: int
    ) -> tuple[Integers, NDArray[np.bool]]:
        """Return results (N,) of a level as sums, and which of them were clipped."""
        if level != self._level:
            self._set_level(level)
        staging, columns = self._staging, self._config.array.columns
        values = np.zeros(matrix.panels * columns, np.int64)
        for first, panels in slices:
            self.cycles += self._driver.rerun(
                staging.program(matrix.steps, panels), position=matrix.place + first * matrix.steps
            )
            self.runs += 1
            raw = self._device.read_memory(staging.results, panels * columns * 4)
            values[first * columns : (first + panels) * columns] = np.frombuffer(raw, "<i4")
        return values << level * LEVEL_BITS, (values == FIXED_MIN) | (values == FIXED_MAX)
