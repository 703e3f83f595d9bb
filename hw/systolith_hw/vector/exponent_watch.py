"""Whether all exponents of keys under way are in scale memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ExponentWatch"]

WRITTEN = 3
"""Cycles from an exponent's leaving the unit until it may be read (:class:`.ScaleMemory`)."""


class ExponentWatch(wiring.Component):
    """Count the blocks whose exponents are under way.

    =========== ====================================================
    Latency     ``all_done`` falls in the cycle after ``begun``, and rises 4 after the last
                ``done``
    Throughput  one of each per cycle
    =========== ====================================================

    Parameters
    ----------
    most : int
        Blocks that may be under way at once.

    Members
    -------
    begun : In(1)
        The last beat of a block is taken.
    done : In(1)
        An exponent goes to scale memory.
    all_done : Out(1)
        All that have begun are in there.
    """

    begun: Signal
    done: Signal
    all_done: Signal

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__({"begun": In(1), "done": In(1), "all_done": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        under_way = Signal(range(self.most + 1))
        recent = Signal(WRITTEN)  # bit n: one was done n + 1 cycles ago
        m.d.sync += [
            under_way.eq(under_way + self.begun - self.done),
            recent.eq(Cat(self.done, recent)),
        ]
        m.d.comb += self.all_done.eq(~under_way.any() & ~recent.any())
        return m
