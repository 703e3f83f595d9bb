"""Stops a program that makes no progress."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Watchdog"]


class Watchdog(wiring.Component):
    """Decides when nothing has moved for too long, with a countdown that stands in a memory.

    The countdown is visited once in each round of the bank's scan. A round in which something
    moved sets it to the limit less one; any other takes the cycles of a round from it. Below
    zero, the program is stopped: ``limit`` quiet cycles after it last moved, up to two rounds
    late.

    Parameters
    ----------
    period : int
        Cycles of a round.

    Members
    -------
    run : In(1)
        A program is running.
    activity : In(1)
        Something moved in this cycle, or the limit changes.
    look : In(1)
        Strobe: the next visit is that to the countdown.
    reload : Out(1)
        At that visit, read the limit in place of the countdown.
    change : Out(signed)
        At that visit, add this to what was read.
    judge : In(1), carry : In(1)
        Strobe: the carry of that addition is there.
    fire : Out(1)
        Strobe: too many quiet cycles have passed.
    """

    run: Signal
    activity: Signal
    look: Signal
    reload: Signal
    change: Signal
    judge: Signal
    carry: Signal
    fire: Signal

    def __init__(self, period: int) -> None:
        self.period = period
        super().__init__({
            "run": In(1),
            "activity": In(1),
            "look": In(1),
            "reload": Out(1),
            "change": Out(range(-period, 0)),
            "judge": In(1),
            "carry": In(1),
            "fire": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        moved = Signal()
        before = Signal()  # something moved since the last look
        armed = Signal()  # the limit is not zero
        m.d.comb += [
            moved.eq(before | self.activity | ~self.run),
            self.change.eq(Mux(self.reload, -1, -self.period)),
        ]
        m.d.sync += [before.eq(moved & ~self.look), self.fire.eq(0)]
        with m.If(self.look):
            m.d.sync += self.reload.eq(moved)
        with m.If(self.judge):
            with m.If(self.reload):
                m.d.sync += armed.eq(self.carry)
            with m.Else():
                m.d.sync += self.fire.eq(armed & ~self.carry)
        return m
