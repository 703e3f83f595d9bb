"""AXI4 read master for program fetch and LOAD."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import FETCH_OUTSTANDING, Config
from ..interfaces import ReadPort, read_beat
from ..stream.skid import Skid
from .axi import ID_BITS, Axi4Read, drive_burst

__all__ = ["AxiReader"]


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
    Latency     1 cycle from request to AR, :attr:`latency` from R to data
    Throughput  1 beat per cycle; 1 request in 2 cycles
    Stall       RREADY is a register; ``request.ready`` comes from registers,
                client_1's also from ``client_0.request.valid``
    Error       any RRESP but OKAY sets ``error`` of that beat
    =========== ==========================================================

    With short pipelines there is no skid. RREADY must not look at RID then, as AXI wants no path
    from its inputs to its outputs, so it says that both clients are ready.

    Parameters
    ----------
    config : Config
        Uses ``bus`` and ``short_pipelines``; client_1 may have ``bus.outstanding`` bursts under
        way, client_0 two.

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

    @property
    def latency(self) -> int:
        """Cycles from R to a client."""
        return 0 if self.config.short_pipelines else Skid.latency

    def elaborate(self, platform) -> Module:
        m = Module()
        axi = self.axi
        drive_burst(m, axi, "ar", self.config)
        last = self._elaborate_beats(m)

        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)

        limits = (FETCH_OUTSTANDING, self.config.bus.outstanding)
        quiet = []
        free: Value = ~axi.arvalid
        for number, (client, limit) in enumerate(zip(self._clients, limits, strict=True)):
            level = Signal(range(limit + 1), name=f"level_{number}")
            room = Signal(name=f"room_{number}", init=1)
            accepted = Signal(name=f"accepted_{number}")
            m.d.comb += [
                client.request.ready.eq(free & room),
                accepted.eq(client.request.valid & client.request.ready),
            ]
            with m.If(accepted):
                m.d.sync += [
                    axi.arvalid.eq(1),
                    axi.arid.eq(number),
                    axi.araddr.eq(client.request.p.address),
                    axi.arlen.eq(client.request.p.last),
                ]
            ends = client.data.valid & client.data.ready & last
            m.d.sync += [
                level.eq(level + accepted - ends),
                room.eq(level != limit),  # late by a cycle, but so is the next request
            ]
            quiet.append((level == 0) & ~client.request.valid)
            free = free & ~(client.request.valid & room)
        m.d.comb += self.idle.eq(Cat(quiet).all())

        return m

    def _elaborate_beats(self, m: Module) -> Value:
        """Give each client its beats; return "this beat ends its burst"."""
        axi = self.axi
        beat: Any = Signal(
            data.StructLayout({"beat": read_beat(self.config), "id": ID_BITS, "last": 1})
        )
        m.d.comb += [
            beat.beat.data.eq(axi.rdata),
            beat.beat.error.eq(axi.rresp.any()),
            beat.id.eq(axi.rid),
            beat.last.eq(axi.rlast),
        ]
        if self.latency == 0:
            for number, client in enumerate(self._clients):
                other = self._clients[1 - number]
                m.d.comb += [
                    client.data.valid.eq(axi.rvalid & (beat.id == number) & other.data.ready),
                    client.data.payload.eq(beat.beat),
                ]
            m.d.comb += axi.rready.eq(self.client_0.data.ready & self.client_1.data.ready)
            return beat.last

        m.submodules.beats = beats = Skid(beat.shape())
        m.d.comb += [
            beats.i.payload.eq(beat),
            beats.i.valid.eq(axi.rvalid),
            axi.rready.eq(beats.i.ready),
        ]
        for number, client in enumerate(self._clients):
            mine = beats.o.p.id == number
            m.d.comb += [
                client.data.valid.eq(beats.o.valid & mine),
                client.data.payload.eq(beats.o.p.beat),
            ]
            with m.If(mine):
                m.d.comb += beats.o.ready.eq(client.data.ready)
        return beats.o.p.last

    @property
    def _clients(self) -> tuple[Any, Any]:
        return self.client_0, self.client_1
