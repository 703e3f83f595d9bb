"""Hand one word to two consumers."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fork"]


class Fork(wiring.Component):
    """Offer each word to two consumers, each of which takes it when it likes.

    ::

        i ──┬──► first
            └──► second

    A consumer may look at its word for as long as it holds ``ready`` back: the word stays at
    ``i`` until both have taken it, so nothing is stored here.

    =========== ==========================================================
    Latency     0 cycles
    Throughput  1 word per cycle when both take it at once
    Stall       ``i.ready`` depends combinationally on both ``ready``
    =========== ==========================================================

    Parameters
    ----------
    shape : ShapeLike
        What one word is.

    Members
    -------
    i : In(stream of ``shape``)
        Words in.
    first, second : Out(stream of ``shape``)
        The same words out.
    """

    i: stream.Interface
    first: stream.Interface
    second: stream.Interface

    def __init__(self, shape) -> None:
        super().__init__({
            "i": In(stream.Signature(shape)),
            "first": Out(stream.Signature(shape)),
            "second": Out(stream.Signature(shape)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        served = []
        for name, o in (("first", self.first), ("second", self.second)):
            done = Signal(name=f"{name}_done")
            m.d.comb += [
                o.payload.eq(self.i.payload),
                o.valid.eq(self.i.valid & ~done),
            ]
            m.d.sync += done.eq(~self.i.ready & (done | (o.valid & o.ready)))
            served.append(done | (o.valid & o.ready))
        m.d.comb += self.i.ready.eq(served[0] & served[1])

        return m
