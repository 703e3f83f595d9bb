"""A register stage that cuts both directions of a stream."""

from typing import Any

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Skid"]


class Skid(wiring.Component):
    """A register stage that cuts both directions of a stream: no combinational path leads from
    one side to the other.

    ::

        i ──┬───────────►[ offer ]──► o
            └►[ spare ]──┘

    A beat that arrives while the offer is stalled waits in the spare register.

    =========== ==========================================================
    Latency     1 cycle (:attr:`latency`)
    Throughput  1 beat per cycle
    Stall       takes one more beat, then drops ``i.ready``, which is a register
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

    latency = 1

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform) -> Module:
        m = Module()

        spare: Any = Signal(self.shape, reset_less=True)
        offer: Any = Signal(self.shape, reset_less=True)
        spare_valid = Signal()
        advance = Signal()
        m.d.comb += [
            advance.eq(self.o.ready | ~self.o.valid),
            self.i.ready.eq(~spare_valid),
            self.o.payload.eq(offer),
        ]

        with m.If(~spare_valid):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(spare_valid | self.i.valid),
                offer.eq(Mux(spare_valid, spare, self.i.payload)),
                spare_valid.eq(0),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += spare_valid.eq(1)

        return m
