"""Who has the Wishbone, and for how long."""

from typing import Any

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import request

__all__ = ["Client", "WishboneTurns", "wishbone_burst"]

TURN_BEATS = 256
"""After so many beats the bus is given back for a cycle, so that others come to it."""


class Client:
    """Who asked."""

    FETCH = 0
    LOAD = 1
    STORE = 2


def wishbone_burst(config: Config) -> data.StructLayout:
    """Return the shape of a burst: the request, and whose it is."""
    return data.StructLayout({"request": request(config), "client": 2})


class WishboneTurns(wiring.Component):
    """Let bursts of three clients on the bus, in turns of reads or of writes.

    ::

        fetch ──┐
        load  ──┼─ turn, priority ──►[ register ]──► o
        store ──┘

    A *turn* is a time in which CYC is one. It has bursts of one direction, and ends when they have
    been answered and there is no other, or no other may begin: after :data:`TURN_BEATS` beats, and
    for writes when a fetch waits. CYC is zero for a cycle then, in which an arbiter may give the
    bus to another master. Turns of reads and of writes alternate if both are wanted; fetch goes
    before load.

    =========== ==========================================================
    Latency     1 cycle from a request to ``o``, and to ``cyc``
    Throughput  1 request in 2 cycles
    Stall       a client without ``room`` asks for nothing; ``ready`` of the
                requests comes from registers and their ``valid``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``.

    Members
    -------
    fetch, load, store : In(stream of request)
        What the clients want.
    room : In(3)
        Whose next burst can be answered; by the numbers of :class:`Client`, and two cycles after
        the last one was granted.
    quiet : In(1)
        All bursts that were granted have been answered.
    granted : Out(stream of :func:`wishbone_burst`)
        A burst has been let in; always taken.
    o : Out(stream of :func:`wishbone_burst`)
        The same bursts, as they go to the bus.
    cyc : Out(1)
        A turn.
    writing : Out(1)
        It is one of writes.
    """

    fetch: stream.Interface
    load: stream.Interface
    store: stream.Interface
    room: Signal
    quiet: Signal
    granted: stream.Interface
    o: stream.Interface
    cyc: Signal
    writing: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        shape: ShapeLike = request(config)
        super().__init__({
            "fetch": In(stream.Signature(shape)),
            "load": In(stream.Signature(shape)),
            "store": In(stream.Signature(shape)),
            "room": In(3),
            "quiet": In(1),
            "granted": Out(stream.Signature(wishbone_burst(config), always_ready=True)),
            "o": Out(stream.Signature(wishbone_burst(config))),
            "cyc": Out(1),
            "writing": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        clients: tuple[Any, ...] = (self.fetch, self.load, self.store)
        wants = Signal(3)
        reads = Signal()
        writes = Signal()
        direction = Signal()
        spent = Signal(range(TURN_BEATS + 256))
        may = Signal()
        granted = Signal(3)
        m.d.comb += [
            wants.eq(Cat(client.valid for client in clients) & self.room),
            reads.eq(wants[Client.FETCH] | wants[Client.LOAD]),
            writes.eq(wants[Client.STORE]),
            # Between turns `writing` is what the last one was.
            direction.eq(Mux(
                self.cyc, self.writing,
                writes & ~wants[Client.FETCH] & ~(reads & self.writing),
            )),
            may.eq(~self.o.valid & (spent < TURN_BEATS)),
            granted[Client.FETCH].eq(may & ~direction & wants[Client.FETCH]),
            granted[Client.LOAD].eq(
                may & ~direction & wants[Client.LOAD] & ~wants[Client.FETCH]
            ),
            granted[Client.STORE].eq(may & direction & writes & ~wants[Client.FETCH]),
            *(client.ready.eq(granted[index]) for index, client in enumerate(clients)),
        ]  # fmt: skip

        burst: Any = self.granted.payload
        m.d.comb += [self.granted.valid.eq(granted.any()), burst.client.eq(Client.FETCH),
                     burst.request.eq(self.fetch.payload)]  # fmt: skip
        for index in (Client.LOAD, Client.STORE):
            with m.If(granted[index]):
                m.d.comb += [burst.client.eq(index), burst.request.eq(clients[index].payload)]

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.granted.valid):
            m.d.sync += [self.o.valid.eq(1), self.cyc.eq(1), self.writing.eq(direction)]
            m.d.sync += [self.o.payload.eq(burst), spent.eq(spent + burst.request.last + 1)]
        with m.Elif(self.quiet & ~self.o.valid):
            m.d.sync += [self.cyc.eq(0), spent.eq(0)]
        return m
