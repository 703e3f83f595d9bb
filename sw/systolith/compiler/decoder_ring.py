"""How a matrix of weights passes through the ring: its bytes, how it is loaded, and multiplied."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.code_pages import PARAMETER_BITS, CodePage
from systolith_sim.machine.transfer import load_bytes

from ..program import Program
from ..program.instructions import Patches
from .decoder_streamed_plan import StreamedPlan
from .layout import pad
from .matrix_image import pack_panels
from .recipes import NOTHING, pack_recipes

__all__ = ["RingMatrix"]


@dataclass(frozen=True)
class RingMatrix:
    """Panels of a matrix, slot behind slot in external memory.

    Parameters
    ----------
    plan : StreamedPlan
    steps : int
        Activation words of its inputs.
    panels : int
        Output tiles.
    first : int
        The slot of the ring that its first panels come to.
    """

    plan: StreamedPlan
    steps: int
    panels: int
    first: int

    @property
    def each(self) -> int:
        """Panels of a slot."""
        return self.plan.slot // self.steps

    @property
    def slots(self) -> int:
        """Slots of all."""
        return self.plan.slots_of(self.steps, self.panels)

    @property
    def last(self) -> int:
        """Panels of the last slot."""
        return self.panels - (self.slots - 1) * self.each

    @property
    def pieces(self) -> list[tuple[int, int, int]]:
        """All slots but the last, and the last: the first of them, how many, and their panels."""
        pieces = [(0, self.slots - 1, self.each), (self.slots - 1, 1, self.last)]
        return pieces if self.slots > 1 else pieces[1:]

    @property
    def loads(self) -> int:
        """LOADs of all slots: one, or two if the last has fewer panels."""
        return len(self._transfers())

    @property
    def panel_bytes(self) -> int:
        """Bytes of a panel by itself."""
        return load_bytes(self.plan.config, self.plan.shape.kind, self.elements(1))

    @property
    def stride(self) -> int:
        """Bytes from slot to slot."""
        config = self.plan.config
        size = load_bytes(config, self.plan.shape.kind, self.elements(self.each))
        return pad(size, config.bus.data_bytes)

    @property
    def size(self) -> int:
        """Bytes of all, the last slot as long as the others."""
        return self.slots * self.stride

    def pack(self, weights: NDArray[np.integer]) -> bytes:
        """Return weights (K, N), or their recipes, as they lie in external memory.

        Behind rows and columns are zeros, or nothing.
        """
        array, kind = self.plan.config.array, self.plan.shape.kind
        coded = kind in PARAMETER_BITS
        wanted = self.steps * array.rows, self.panels * array.columns
        padding = [(0, size - have) for size, have in zip(wanted, weights.shape, strict=True)]
        whole = np.pad(weights, padding, constant_values=NOTHING if coded else 0)
        slots = []
        for first in range(0, self.panels, self.each):
            part = whole[:, first * array.columns : (first + self.each) * array.columns]
            slot = pack_panels(part, array.columns) if not coded else self._pack_codes(part)
            slots.append(slot.ljust(self.stride, b"\0"))
        return b"".join(slots)

    def _pack_codes(self, recipes: NDArray[np.integer]) -> bytes:
        """Return the run of a slot whose weights are codes; panels follow one another."""
        config = self.plan.config
        panels = recipes.reshape(len(recipes), -1, config.array.columns).transpose(1, 0, 2)
        page = CodePage(config, self.plan.shape.kind)
        return pack_recipes(page, panels.reshape(1, -1, config.array.columns)).tobytes()

    def load(
        self, program: Program, address: int, patches: Patches, *, free: int, arrived: int,
        begin: int | None = None,
    ) -> None:  # fmt: skip
        """Append the LOADs of all slots, each of which waits for a ``free`` one; all of them for
        ``begin``, if it is given."""
        plan = self.plan
        for start, rows, panels in self._transfers():
            program.load(
                plan.shape.kind, address=address + start * self.stride, rows=rows,
                elements=self.elements(panels), row_stride=self.stride, local=self._place(start),
                local_stride=plan.slot, ring=plan.ring, patches=patches, wait_inner=free,
                post_inner=arrived, wait_outer=None if start else begin,
            )  # fmt: skip

    def multiply(
        self, program: Program, activation: int, *, ready: int | None, free: int, arrived: int,
        rows: int | None = None, stride: int | None = None,
    ) -> None:  # fmt: skip
        """Append the MATMULs of all slots; the first also waits until its inputs are ``ready``.

        That is None if they are when the instruction is issued. They are of one token, or of as
        many as the register ``rows`` says, ``stride`` words apart.
        """
        parts = [(0, self.slots)] if ready is None else [(0, 1), (1, self.slots - 1)]
        for start, groups in parts:
            if groups:
                last = start + groups == self.slots
                program.matmul(
                    steps=self.steps, groups=groups, tiles=self.each,
                    tiles_last=self.last if last else self.each, operand=self._place(start),
                    operand_stride=self.plan.slot if self.each == 1 else 0, ring=self.plan.ring,
                    activation=activation, activation_stride=stride, wait_outer=arrived,
                    tokens=0 if rows else 1, patches={"tokens": rows} if rows else {},
                    wait_inner=None if start else ready, post_outer=free,
                )  # fmt: skip

    def elements(self, panels: int) -> int:
        """Return the row writes of so many panels."""
        config = self.plan.config
        return panels * self.steps * (config.array.rows // config.write_rows)

    def _transfers(self) -> list[tuple[int, int, int]]:
        """Return slots that are alike: the first of them, how many, and their panels."""
        whole = self.slots - (self.last < self.each)
        parts = [(0, whole, self.each)] * bool(whole)
        return parts + [(whole, 1, self.last)] * (self.last < self.each)

    def _place(self, slot: int) -> int:
        """Return the tile at which one of its slots begins."""
        return (self.first + slot) % self.plan.slots * self.plan.slot
