"""AXI4 write master for STORE."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import WritePort, write_beat
from ..stream.skid import Skid
from .axi import Axi4Write, drive_burst

__all__ = ["AxiWriter"]


class AxiWriter(wiring.Component):
    """AXI4 write master for one client, STORE.

    ::

        request  ──►[ register ]──► AW
        data     ──►[   skid   ]──► W
        response ◄──[ register ]◄── B

    All bursts carry the same ID, so memory acknowledges them in order. Beats are passed on as
    they come: the data of a burst may reach W before its address has left on AW, as AXI4 allows.

    =========== ==========================================================
    Latency     :attr:`latency` on AW and W, 1 cycle on B
    Throughput  1 beat per cycle; 1 request in 2 cycles
    Stall       ``data.ready`` is a register, and ``request.ready`` comes from
                two; BREADY is constant one
    Error       any BRESP but OKAY sets ``response``
    =========== ==========================================================

    With short pipelines the client drives AW and W itself, which it may: its payloads stay as
    long as they are offered. Then it sees AWREADY and WREADY in the same cycle.

    Parameters
    ----------
    config : Config
        Uses ``bus`` and ``short_pipelines``; at most ``bus.outstanding`` bursts wait for their
        response.

    Members
    -------
    client : In(WritePort)
        STORE.
    axi : Out(Axi4Write)
        To memory.
    idle : Out(1)
        No burst asked for or under way, all responses delivered.
    """

    client: Any
    axi: Any
    idle: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "client": In(WritePort(config)), "axi": Out(Axi4Write(config)), "idle": Out(1),
        })  # fmt: skip

    @property
    def latency(self) -> int:
        """Cycles from the client to AW and W."""
        return 0 if self.config.short_pipelines else Skid.latency

    def elaborate(self, platform) -> Module:
        m = Module()
        axi, client = self.axi, self.client
        drive_burst(m, axi, "aw", self.config)

        limit = self.config.bus.outstanding
        level = Signal(range(limit + 1))
        room = Signal(init=1)
        begins = Signal()
        m.d.comb += [
            begins.eq(client.request.valid & client.request.ready),
            axi.bready.eq(1),
        ]
        m.d.sync += [
            level.eq(level + begins - axi.bvalid),
            client.response.valid.eq(axi.bvalid),
            client.response.payload.eq(axi.bresp.any()),
        ]
        beats = client.data
        if self.latency == 0:
            m.d.comb += [
                room.eq(level != limit),
                client.request.ready.eq(axi.awready & room),
                axi.awvalid.eq(client.request.valid & room),
                axi.awaddr.eq(client.request.p.address),
                axi.awlen.eq(client.request.p.last),
            ]
        else:
            m.submodules.beats = skid = Skid(write_beat(self.config))
            wiring.connect(m, wiring.flipped(client.data), skid.i)
            beats = skid.o
            m.d.comb += client.request.ready.eq(room & ~axi.awvalid)
            m.d.sync += room.eq(level != limit)  # late by a cycle, but so is the next request
            with m.If(~axi.awvalid):
                m.d.sync += [
                    axi.awaddr.eq(client.request.p.address), axi.awlen.eq(client.request.p.last)
                ]  # fmt: skip
            m.d.sync += axi.awvalid.eq(begins | (axi.awvalid & ~axi.awready))
        m.d.comb += [
            axi.wdata.eq(beats.p.data),
            axi.wstrb.eq(beats.p.strobe),
            axi.wlast.eq(beats.p.last),
            axi.wvalid.eq(beats.valid),
            beats.ready.eq(axi.wready),
            self.idle.eq(~Cat(
                level.any(), client.request.valid, client.data.valid, beats.valid,
                client.response.valid,
            ).any()),
        ]  # fmt: skip
        return m
