"""Know of each beat that comes from memory what it ends."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from .requester import mark

__all__ = ["Marks", "beat_mark"]


def beat_mark() -> data.StructLayout:
    """Return the shape of what a beat is: the last of its run, and part of the last run."""
    return data.StructLayout({"run_end": 1, "last_run": 1})


class Marks(wiring.Component):
    """Keep what is known of each burst until its beats come: they do so in order.

    ::

        mark of a burst ──►[ ... | next | this ]──► mark of a beat
                                   count of beats ──┘

    So nothing behind memory needs to count beats of a run or runs of a transfer.

    =========== ==========================================================
    Latency     1 cycle from ``push`` to the beats of that burst
    Throughput  1 burst and 1 beat per cycle
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``; memory has at most ``bus.outstanding`` bursts with beats to come.

    Members
    -------
    push : In(1)
        Memory has accepted a burst.
    burst : In(:func:`~systolith_hw.dma.requester.mark`)
        Which.
    pop : In(1)
        A beat has come.
    beat : Out(beat_mark())
        What it is.
    awaited : Out(1)
        A beat is still to come.
    """

    push: Signal
    burst: data.View
    pop: Signal
    beat: data.View
    awaited: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "push": In(1),
            "burst": In(mark(config)),
            "pop": In(1),
            "beat": Out(beat_mark()),
            "awaited": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        depth = self.config.bus.outstanding
        slots: Any = [
            Signal(mark(self.config), name=f"slot_{index}", reset_less=True)
            for index in range(depth)
        ]
        full = Signal(depth)

        count = Signal.like(slots[0].last)
        burst_end = Signal()
        shift = Signal()
        m.d.comb += [
            burst_end.eq(count == slots[0].last),
            shift.eq(self.pop & burst_end),
            self.beat.run_end.eq(burst_end & slots[0].run_end),
            self.beat.last_run.eq(slots[0].last_run),
            self.awaited.eq(full[0]),
        ]
        with m.If(self.pop):
            m.d.sync += count.eq(Mux(burst_end, 0, count + 1))

        # The slots in use are the lower ones; a free one follows what comes in.
        with m.If(self.push & ~shift):
            m.d.sync += full.eq(Cat(1, full))
        with m.Elif(shift & ~self.push):
            m.d.sync += full.eq(full >> 1)
        for index, slot in enumerate(slots):
            with m.If(shift | ~full[index]):
                m.d.sync += slot.eq(self.burst)
                for above in slots[index + 1 : index + 2]:
                    with m.If(full[index + 1]):
                        m.d.sync += slot.eq(above)

        return m
