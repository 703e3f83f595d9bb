"""From the answers of the Wishbone to the clients that asked."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FETCH_OUTSTANDING, Config
from ..interfaces import read_beat
from ..stream.fifo import Fifo
from .wishbone_turns import Client, wishbone_burst

__all__ = ["WishboneReplies"]


class WishboneReplies(wiring.Component):
    """Give each client the answers to its bursts, which come in the order of the strobes.

    ::

        burst ──►[ whose, how many ]──┐
        answer ───────────────────────┴─┬─ reads ──►[ queue ]──┬──► fetch
                                        │                      └──► load
                                        └─ writes ──► "all of a burst": response

    Wishbone cannot make an answer wait, so a burst of reads is let onto the bus only when the queue
    has places for all of its beats.

    =========== ==========================================================
    Latency     2 cycles from an answer to a client's beat, 1 to a response
    Throughput  1 beat per cycle
    Stall       a client that takes no beats holds up the other one
    Error       ERR, alone or beside ACK, sets ``error`` of that beat, or of
                the response to the burst
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``: LOAD and STORE may each have ``outstanding`` bursts under way, fetch two; the
        queue has places for ``outstanding`` bursts of reads.

    Members
    -------
    burst : In(stream of :func:`~systolith_hw.bus.wishbone_turns.wishbone_burst`)
        Which will be asked for; not later than 2 cycles before its first answer.
    ack, err : In(1)
        An answer, and one that is an error.
    dat_r : In(data)
        What was read.
    room : Out(3)
        Whose next burst can be answered; two cycles after ``burst``.
    fetch, load : Out(stream of read_beat)
        To the clients.
    response : Out(stream of an error bit)
        To STORE.
    quiet : Out(1)
        Every burst has been answered.
    empty : Out(1)
        And everything has been delivered.
    """

    burst: stream.Interface
    ack: Signal
    err: Signal
    dat_r: Signal
    room: Signal
    fetch: stream.Interface
    load: stream.Interface
    response: stream.Interface
    quiet: Signal
    empty: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        bus = config.bus
        longest = bus.burst_beats
        self.depth = max(bus.outstanding * longest, longest + 2)
        self.limits = (FETCH_OUTSTANDING, bus.outstanding, bus.outstanding)
        self._taken = Signal()
        super().__init__({
            "burst": In(stream.Signature(wishbone_burst(config), always_ready=True)),
            "ack": In(1),
            "err": In(1),
            "dat_r": In(bus.data_bytes * 8),
            "room": Out(3),
            "fetch": Out(stream.Signature(read_beat(config))),
            "load": Out(stream.Signature(read_beat(config))),
            "response": Out(stream.Signature(1, always_ready=True)),
            "quiet": Out(1),
            "empty": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        shape = data.StructLayout({"client": 2, "last": 8})
        # Room for all bursts that the limits allow, so it is always ready.
        m.submodules.order = order = Fifo(shape, sum(self.limits) + 2)
        m.d.comb += [
            order.i.valid.eq(self.burst.valid),
            order.i.p.client.eq(self.burst.p.client),
            order.i.p.last.eq(self.burst.p.request.last),
            self.quiet.eq(order.empty),
        ]
        answered = Signal()
        ends = Signal()
        stored = Signal()
        failed = Signal()
        count = Signal(8)
        m.d.comb += [
            answered.eq((self.ack | self.err) & order.o.valid),
            ends.eq(answered & (count == order.o.p.last)),
            order.o.ready.eq(ends),
            stored.eq(order.o.p.client == Client.STORE),
        ]
        m.d.sync += [
            self.response.valid.eq(ends & stored),
            self.response.payload.eq(failed | self.err),
        ]
        with m.If(answered):
            m.d.sync += [count.eq(count + 1), failed.eq(failed | self.err)]
        with m.If(ends):
            m.d.sync += [count.eq(0), failed.eq(0)]

        end, load = self._elaborate_reads(m, answered & ~stored, ends, order.o.p.client)
        places = self._elaborate_places(m)
        for index, ended in enumerate((end & ~load, end & load, ends & stored)):
            limit = self.limits[index]
            level = Signal(range(limit + 1), name=f"level_{index}")
            below = Signal(name=f"below_{index}", init=1)
            begun = self.burst.valid & (self.burst.p.client == index)
            m.d.sync += [level.eq(level + begun - ended), below.eq(level != limit)]
            m.d.comb += self.room[index].eq(below if index == Client.STORE else below & places)
        return m

    def _elaborate_reads(self, m: Module, answered: Value, ends: Value, client: Value):
        """Queue what was read, and give it to who asked; return "the last beat of a burst is
        taken", and "by LOAD"."""
        shape = data.StructLayout({"beat": read_beat(self.config), "load": 1, "last": 1})
        m.submodules.beats = beats = Fifo(shape, self.depth)
        word: Any = beats.o.payload
        m.d.comb += [
            beats.i.valid.eq(answered),
            beats.i.p.beat.data.eq(self.dat_r),
            beats.i.p.beat.error.eq(self.err),
            beats.i.p.load.eq(client == Client.LOAD),
            beats.i.p.last.eq(ends),
            self.fetch.valid.eq(beats.o.valid & ~word.load),
            self.load.valid.eq(beats.o.valid & word.load),
            self.fetch.payload.eq(word.beat),
            self.load.payload.eq(word.beat),
            beats.o.ready.eq(Mux(word.load, self.load.ready, self.fetch.ready)),
        ]
        m.d.comb += self._taken.eq(beats.o.valid & beats.o.ready)
        return self._taken & word.last, word.load

    def _elaborate_places(self, m: Module) -> Value:
        """Count the places of the queue; return "there are enough for a burst"."""
        places = self.depth - 2  # which the queue may need to move words
        longest = self.config.bus.burst_beats
        free = Signal(range(places + 1), init=places)
        asked = Signal(range(longest + 1))
        enough = Signal(init=1)
        with m.If(self.burst.valid & (self.burst.p.client != Client.STORE)):
            m.d.comb += asked.eq(self.burst.p.request.last + 1)
        m.d.sync += [free.eq(free + self._taken - asked), enough.eq(free >= longest)]
        m.d.comb += self.empty.eq((free == places) & ~self.response.valid)
        return enough
