"""A place where one beat waits, so that ``ready`` is a register."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Spare"]


class Spare(wiring.Component):
    """Pass a stream on; a beat that cannot leave at once waits here.

    ::

        i ──┬──────────────►(choose)──► o
            └──►[ spare ]──────┘

    =========== ==========================================================
    Latency     none
    Throughput  1 beat per cycle
    Stall       ``i.ready`` is a register: there is no spare beat
    =========== ==========================================================

    Parameters
    ----------
    shape : ShapeLike
        Shape of a beat.

    Members
    -------
    i : In(stream.Signature(shape))
    o : Out(stream.Signature(shape))
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform) -> Module:
        m = Module()

        held = Signal(self.shape, reset_less=True)
        waits = Signal()
        m.d.comb += [
            self.i.ready.eq(~waits),
            self.o.valid.eq(waits | self.i.valid),
            self.o.payload.eq(Mux(waits, held, self.i.payload)),
        ]
        m.d.sync += waits.eq(self.o.valid & ~self.o.ready)
        with m.If(~waits):
            m.d.sync += held.eq(self.i.payload)

        return m
