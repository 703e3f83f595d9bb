"""Wishbone B4 master for program fetch, LOAD and STORE."""


from amaranth import *
from amaranth.lib.wiring import connect, flipped

from ..config import Config
from ..stream.skid import Skid
from .memory_side import MemorySide
from .wishbone import Wishbone
from .wishbone_replies import WishboneReplies
from .wishbone_strobes import WishboneStrobes, strobe
from .wishbone_turns import WishboneTurns

__all__ = ["WishboneMaster"]


class WishboneMaster(MemorySide):
    """Wishbone B4 master for three clients: program fetch, LOAD and STORE.

    ::

        fetch, load, store requests ──►[ turns ]──►[ strobes ]──►[ skid ]──► STB, ADR, DAT_W, CTI
                                           │    store data ──┘
        fetch, load data       ◄──┐        ▼
        store response         ◄──┴──[ replies ]◄── ACK, ERR, DAT_R

    It is a pipelined master, so a slave may take any time to answer and still gets a strobe in
    every cycle. Its strobes also are incrementing bursts of registered feedback: a slave that is
    not pipelined gets ``stall = cyc & ~(ack | err)``, and each strobe stays until it is answered.
    Program fetch goes first, and CYC is given back between turns.

    =========== ==========================================================
    Latency     4 cycles from a request to its first strobe when the bus is at
                rest, 2 from an answer to a client's beat
    Throughput  1 beat per cycle, reads and writes together; 1 burst in 2
                cycles; between turns (256 beats) 5 cycles, and the slave's
                latency
    Stall       all outputs are registers
    Error       ERR sets ``error`` of that beat, or the burst's response
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config, Wishbone(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        m.submodules.turns = turns = WishboneTurns(self.config)
        m.submodules.strobes = strobes = WishboneStrobes(self.config)
        m.submodules.skid = skid = Skid(strobe(self.config))
        m.submodules.replies = replies = WishboneReplies(self.config)
        connect(m, flipped(self.fetch.request), turns.fetch)
        connect(m, flipped(self.load.request), turns.load)
        connect(m, flipped(self.store.request), turns.store)
        connect(m, turns.granted, replies.burst)
        connect(m, turns.o, strobes.i)
        connect(m, flipped(self.store.data), strobes.data)
        connect(m, strobes.o, skid.i)
        connect(m, replies.fetch, flipped(self.fetch.data))
        connect(m, replies.load, flipped(self.load.data))
        connect(m, replies.response, flipped(self.store.response))
        m.d.comb += [
            turns.room.eq(replies.room),
            turns.quiet.eq(replies.quiet),
            replies.ack.eq(bus.ack & bus.cyc),
            replies.err.eq(bus.err & bus.cyc),
            replies.dat_r.eq(bus.dat_r),
            bus.cyc.eq(turns.cyc),
            bus.stb.eq(skid.o.valid),
            skid.o.ready.eq(~bus.stall),
            *(getattr(bus, name).eq(skid.o.payload[name]) for name in strobe(self.config).members),
            self.idle.eq(~Cat(
                turns.cyc, self.fetch.request.valid, self.load.request.valid,
                self.store.request.valid, self.store.data.valid, ~replies.empty,
            ).any()),
        ]  # fmt: skip
        return m
