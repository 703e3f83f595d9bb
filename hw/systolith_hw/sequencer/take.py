"""A register stage between a unit that waits and the semaphore file."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interfaces import SemaphoreWait

__all__ = ["TakeStage"]


class TakeStage(wiring.Component):
    """Take a semaphore for a unit, with a register on both ways.

    ::

        unit: valid ──►[ asked ]──► file
        unit: ready ◄──[ taken ]◄── file: ready

    Without it, one path would lead from the counts of semaphores into the loops of every unit.
    Units ask ahead of time, so that the cycles it costs are seen only where a unit has nothing
    else to do.

    =========== ==========================================================
    Latency     2 cycles more from valid to ready
    Throughput  a semaphore in 3 cycles
    =========== ==========================================================

    Members
    -------
    unit : In(SemaphoreWait)
        Holds ``valid`` and ``id``, which comes from registers, until ``ready``.
    file : Out(SemaphoreWait)
        To the semaphore file.
    """

    unit: Any
    file: Any

    def __init__(self) -> None:
        super().__init__({"unit": In(SemaphoreWait()), "file": Out(SemaphoreWait())})

    def elaborate(self, platform) -> Module:
        m = Module()
        taken = Signal()
        m.d.comb += [self.unit.ready.eq(taken), self.file.id.eq(self.unit.id)]
        with m.If(taken):
            m.d.sync += taken.eq(0)
        with m.Elif(self.file.valid):
            with m.If(self.file.ready):
                m.d.sync += [taken.eq(1), self.file.valid.eq(0)]
        with m.Else():
            m.d.sync += self.file.valid.eq(self.unit.valid)
        return m
