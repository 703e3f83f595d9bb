"""A reading client's place in memory's queue: it asks only for what it has room for."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.config import Config
from systolith_hw.interfaces import request
from systolith_hw.stream.fifo import Fifo

from .client_shapes import ReadClient, returned

__all__ = ["ReadReturn"]


class ReadReturn(wiring.Component):
    """Keep room for every beat that a client has asked for.

    A client that takes no beats holds up nobody but itself: memory's answers to it always have a
    place.

    =========== ==========================================================
    Latency     2 cycles for a request; 3 for a beat
    Throughput  1 request in 2 cycles; 1 beat per cycle
    Stall       a request waits until ``depth`` less what is promised has
                room for all of its beats
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Its bus.
    depth : int
        Beats that fit; at least the client's longest burst.

    Members
    -------
    client : In(ReadClient)
        The client.
    asked : Out(stream of :func:`~systolith_hw.interfaces.request`)
        Its requests.
    beats : In(stream of :func:`~.client_shapes.returned`, always ready)
        What memory answers.
    """

    client: Any
    asked: stream.Interface
    beats: stream.Interface

    def __init__(self, config: Config, depth: int) -> None:
        self.config = config
        self.depth = depth
        super().__init__({
            "client": In(ReadClient(config)),
            "asked": Out(stream.Signature(request(config))),
            "beats": In(stream.Signature(returned(config), always_ready=True)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        # A block RAM takes the place of a hundred LUTs or more.
        m.submodules.queue = queue = Fifo(
            returned(self.config), self.depth, style="block", output_register=True
        )
        free = Signal(range(self.depth + 1), init=self.depth)
        fits = Signal()
        wish, takes = self.client.request, self.client.data
        goes = self.asked.valid & self.asked.ready
        m.d.comb += [
            queue.i.valid.eq(self.beats.valid),
            queue.i.payload.eq(self.beats.payload),
            self.asked.valid.eq(wish.valid & fits),
            self.asked.payload.eq(wish.payload),
            wish.ready.eq(self.asked.ready & fits),
        ]
        connect(m, queue.o, flipped(takes))
        # What fits once, fits until it goes: only more places become free.
        m.d.sync += [
            fits.eq(wish.valid & (free > wish.p.last) & ~goes),
            free.eq(free + (takes.valid & takes.ready) - Mux(goes, wish.p.last + 1, 0)),
        ]
        return m
