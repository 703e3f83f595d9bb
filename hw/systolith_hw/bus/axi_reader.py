"""AXI4 read master for program fetch and LOAD."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import ReadPort, read_beat
from .axi import ID_BITS, Axi4Read, drive_burst
from .skid import Skid

__all__ = ["AxiReader"]

FETCH_OUTSTANDING = 2
"""Bursts of program fetch that may be under way, besides those of LOAD."""


class AxiReader(wiring.Component):
    """AXI4 read master for two clients, program fetch and LOAD.

    ::

        client_0 request ──►┐
                            ├─ priority ──►[ register ]──► AR, ARID = client
        client_1 request ──►┘
        client_0 data ◄──┐
                         ├─ by RID ◄──[ skid ]◄── R
        client_1 data ◄──┘

    A client's bursts carry its number as their ID, so each client gets its beats in the order
    of its requests, while memory may answer the two in any order, even interleaved.

    =========== ==========================================================
    Latency     1 cycle from request to AR, 1 cycle from R to data
    Throughput  1 beat per cycle; 1 request per cycle
    Stall       RREADY is a register; ``request.ready`` depends combinationally
                on ARREADY, client_1's also on ``client_0.request.valid``
    Error       any RRESP but OKAY sets ``error`` of that beat
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``; client_1 may have ``bus.outstanding`` bursts under way, client_0 two.

    Members
    -------
    client_0 : In(ReadPort)
        Program fetch; wins when both ask.
    client_1 : In(ReadPort)
        LOAD.
    axi : Out(Axi4Read)
        To memory.
    idle : Out(1)
        No burst asked for or under way.
    """

    client_0: Any
    client_1: Any
    axi: Any
    idle: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "client_0": In(ReadPort(config)),
            "client_1": In(ReadPort(config)),
            "axi": Out(Axi4Read(config)),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        axi = self.axi
        m.submodules.beats = beats = Skid(
            data.StructLayout({"beat": read_beat(self.config), "id": ID_BITS, "last": 1})
        )

        drive_burst(m, axi, "ar", self.config)
        m.d.comb += [
            beats.i.p.beat.data.eq(axi.rdata),
            beats.i.p.beat.error.eq(axi.rresp.any()),
            beats.i.p.id.eq(axi.rid),
            beats.i.p.last.eq(axi.rlast),
            beats.i.valid.eq(axi.rvalid),
            axi.rready.eq(beats.i.ready),
        ]

        free = Signal()
        m.d.comb += free.eq(~axi.arvalid | axi.arready)
        with m.If(free):
            m.d.sync += axi.arvalid.eq(0)

        limits = (FETCH_OUTSTANDING, self.config.bus.outstanding)
        quiet = []
        taken: Value = Const(0)
        for number, (client, limit) in enumerate(zip(self._clients, limits, strict=True)):
            level = Signal(range(limit + 1), name=f"level_{number}")
            bids = Signal(name=f"bids_{number}")
            m.d.comb += [
                bids.eq(client.request.valid & (level != limit)),
                client.request.ready.eq(free & (level != limit) & ~taken),
                client.data.valid.eq(beats.o.valid & (beats.o.p.id == number)),
                client.data.payload.eq(beats.o.p.beat),
            ]
            with m.If(free & bids & ~taken):
                m.d.sync += [
                    axi.arvalid.eq(1),
                    axi.arid.eq(number),
                    axi.araddr.eq(client.request.p.address),
                    axi.arlen.eq(client.request.p.last),
                ]
            with m.If(beats.o.p.id == number):
                m.d.comb += beats.o.ready.eq(client.data.ready)
            ends = client.data.valid & client.data.ready & beats.o.p.last
            m.d.sync += level.eq(level + (free & bids & ~taken) - ends)
            quiet.append((level == 0) & ~client.request.valid)
            taken = taken | bids
        m.d.comb += self.idle.eq(Cat(quiet).all())

        return m

    @property
    def _clients(self) -> tuple[Any, Any]:
        return self.client_0, self.client_1
