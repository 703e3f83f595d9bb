"""Take the semaphores that one token waits for."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..interfaces import SEMAPHORE_ID_BITS, SemaphoreWait

__all__ = ["Permit", "semaphore"]


def semaphore() -> data.StructLayout:
    """Return the shape of a ``wait_*`` or ``post_*`` field: a semaphore, or none."""
    return data.StructLayout({"id": SEMAPHORE_ID_BITS, "present": 1})


class Permit(wiring.Component):
    """Take up to two semaphores, one after the other, and say when both are taken.

    =========== ==========================================================
    Latency     ``granted`` is one in the cycle after ``begin`` if nothing
                was asked for, else in the cycle where the last semaphore
                is taken (combinationally from ``wait.ready``); it stays
                one until the next ``begin``
    Throughput  one ``begin`` per cycle, of one semaphore each
    =========== ==========================================================

    Members
    -------
    begin : In(1)
        Start again with ``outer`` and ``inner``.
    outer, inner : In(semaphore())
        What to take, ``outer`` first.
    granted : Out(1)
        Everything asked for has been taken.
    wait : Out(SemaphoreWait)
        Where from.
    """

    begin: Signal
    outer: data.View
    inner: data.View
    granted: Signal
    wait: Any

    def __init__(self) -> None:
        super().__init__({
            "begin": In(1),
            "outer": In(semaphore()),
            "inner": In(semaphore()),
            "granted": Out(1),
            "wait": Out(SemaphoreWait()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        taken = Signal()
        wait_id = Signal.like(self.wait.id, reset_less=True)
        then_id = Signal.like(wait_id, reset_less=True)
        then_present = Signal()
        m.d.comb += [
            taken.eq(self.wait.valid & self.wait.ready),
            self.wait.id.eq(wait_id),
            self.granted.eq(~self.wait.valid | (taken & ~then_present)),
        ]
        with m.If(taken):
            m.d.sync += [
                self.wait.valid.eq(then_present),
                wait_id.eq(then_id),
                then_present.eq(0),
            ]
        with m.If(self.begin):
            m.d.sync += [
                self.wait.valid.eq(self.outer.present | self.inner.present),
                wait_id.eq(Mux(self.outer.present, self.outer.id, self.inner.id)),
                then_id.eq(self.inner.id),
                then_present.eq(self.outer.present & self.inner.present),
            ]

        return m
