"""Give beats read to who asked for them."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.config import Config
from systolith_hw.stream.fifo import Fifo

from .client_shapes import order, returned
from .sdram_shapes import beat

__all__ = ["ReadRouter"]

ORDERS = 16
"""Bursts that may be under way."""


class ReadRouter(wiring.Component):
    """Remember who asked, in order, and answer for memory where there is none.

    =========== ==========================================================
    Latency     1 cycle for a beat
    Throughput  1 beat per cycle
    Stall       none: clients keep room for what they ask for
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Its bus.
    readers : int
        Clients.

    Members
    -------
    orders : In(stream of :func:`~.client_shapes.order`)
        Bursts, as memory is asked for them.
    beats : In(stream of :func:`~.sdram_shapes.beat`)
        Memory's answers.
    returned : Out(stream of :func:`~.client_shapes.returned`, always ready), one for each client
        Each client's.
    moved : Out(1)
        A beat is given in this cycle.
    """

    orders: stream.Interface
    beats: stream.Interface
    returned: Any
    moved: Signal

    def __init__(self, config: Config, readers: int) -> None:
        self.readers = readers
        super().__init__({
            "orders": In(stream.Signature(order(readers))),
            "beats": In(stream.Signature(beat(config.bus.data_bytes))),
            "returned": Out(stream.Signature(returned(config), always_ready=True)).array(readers),
            "moved": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.queue = queue = Fifo(order(self.readers), ORDERS, style="distributed")
        connect(m, flipped(self.orders), queue.i)
        now = queue.o
        made = Signal(8)  # beats of an error that were given
        given, last = Signal(), Signal()
        answer: Any = Signal.like(self.returned[0].payload)
        valids = Signal(self.readers)
        m.d.comb += [
            self.beats.ready.eq(now.valid & ~now.p.error),
            given.eq(now.valid & (now.p.error | self.beats.valid)),
            last.eq(Mux(now.p.error, made == now.p.last, self.beats.p.last)),
            now.ready.eq(given & last),
            self.moved.eq(valids.any()),
        ]
        m.d.sync += [
            valids.eq(Mux(given, 1 << now.p.reader, 0)),
            answer.data.eq(self.beats.p.data),
            answer.error.eq(now.p.error),
            answer.last.eq(last),
            made.eq(Mux(given & ~last, made + now.p.error, 0)),
        ]
        for index in range(self.readers):
            port = self.returned[index]
            m.d.comb += [port.valid.eq(valids[index]), port.payload.eq(answer)]
        return m
