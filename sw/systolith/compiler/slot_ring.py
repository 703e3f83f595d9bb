"""Weights on their way through operand memory: a ring of equal slots."""

from systolith_hw.isa import LoadKind

from ..program import Patches, Program
from ..program.instructions import NONE

__all__ = ["FEWEST_SLOTS", "SlotRing"]

FEWEST_SLOTS = 2
"""One is filled while the other is used."""


class SlotRing:
    """Slots from operand tile 0 on, which are filled and consumed in the same order.

    LOAD takes a count of ``free`` for each slot, so that one LOAD of many rows fills the ring by
    itself; the program gives as many counts as there are slots to begin with.

    Parameters
    ----------
    program : Program
    size : int
        Tiles of a slot.
    slots : int
        Slots of the ring.
    address, stride : int
        Byte of external memory where the first one begins, and bytes from one to the next.

    Attributes
    ----------
    slot : int
        Register: the tile where the slot begins that is consumed next.
    arrived, free : int
        Semaphores: a slot's weights are there; they have been used.
    """

    def __init__(
        self, program: Program, *, size: int, slots: int, address: int, stride: int
    ) -> None:
        self.program = program
        self.size = size
        self.slots = slots
        self.address = address
        self.stride = stride
        self.slot = program.register("slot")
        self.arrived = program.semaphore("a slot's weights are there")
        self.free = program.semaphore("a slot of the ring is free")

    @property
    def end(self) -> int:
        """One past the last tile."""
        return self.slots * self.size

    def load(
        self, first: int, count: int, local: int, *, offset: int = 0, silent: bool = False,
        at_once: bool = False,
    ) -> None:  # fmt: skip
        """Load slots from number ``first`` on to the tile in register ``local``, and behind it.

        That is where the slots before them end. ``offset`` is the register that is added to where
        they are in external memory. Nobody is told of each if ``silent``, and of all of them
        together if ``at_once``.
        """
        config = self.program.config
        patches = {"address": offset} if offset else {}
        self.program.load(
            LoadKind.OPERAND_ROWS, rows=count,
            elements=self.size * (config.array.rows // config.write_rows),
            address=self.address + first * self.stride, row_stride=self.stride,
            local_stride=self.size, ring=(0, self.end), patches={**patches, "local": local},
            wait_inner=self.free, post_inner=None if silent or at_once else self.arrived,
            post_outer=self.arrived if at_once else None,
        )  # fmt: skip

    def multiply(
        self, *, steps: int, tiles: int, tokens: int, groups: int = 1, activation: int = 0,
        activation_stride: int | None = None, patches: Patches = NONE,
        wait_inner: int | None = None,
    ) -> None:  # fmt: skip
        """Multiply words by what the next slots hold, one of them for each group."""
        self.program.matmul(
            steps=steps, tiles=tiles, tokens=tokens, groups=groups, ring=(0, self.end),
            activation=activation, activation_stride=activation_stride,
            patches={**patches, "operand": self.slot},
            wait_outer=self.arrived, post_outer=self.free, wait_inner=wait_inner,
        )  # fmt: skip

    def next(self, count: int = 1) -> None:
        """Let ``slot`` point so many slots on."""
        self.advance(self.slot, count % self.slots * self.size, self.end)

    def skip(self, target: int, count: int) -> None:
        """Let a register point ``count`` slots behind ``slot``."""
        self.program.calc(target, self.slot)
        self.advance(target, count % self.slots * self.size, self.end)

    def advance(self, register: int, step: int, end: int) -> None:
        """Add ``step`` to a register that begins at 0 again when it reaches ``end``."""
        self.program.calc(register, register, immediate=step)
        # Where the subtraction wraps around, the number as it was is the smaller one.
        self.program.minimum(register, register, register, -end)
