"""From bursts to the strobes of the Wishbone."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import write_beat
from .wishbone import CycleType, Wishbone
from .wishbone_turns import Client, wishbone_burst

__all__ = ["WishboneStrobes", "strobe"]


def strobe(config: Config) -> data.StructLayout:
    """Return the shape of what goes with a strobe."""
    members = Wishbone(config).members
    return data.StructLayout({
        name: members[name].shape for name in ("we", "adr", "sel", "dat_w", "cti")
    })  # fmt: skip


class WishboneStrobes(wiring.Component):
    """Ask for each beat of a burst.

    Between the first strobe of a burst and its last there is no gap, as STORE gives its data
    without one: some memories take a gap for the end of the burst.

    =========== ==========================================================
    Latency     1 cycle from a burst to its first strobe
    Throughput  1 beat per cycle, from burst to burst
    Stall       ``o.ready``; no combinational path from there leads further
                than to ``i.ready`` and ``data.ready``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``.

    Members
    -------
    i : In(stream of :func:`~systolith_hw.bus.wishbone_turns.wishbone_burst`)
        Bursts.
    data : In(stream of :func:`~systolith_hw.interfaces.write_beat`)
        What bursts of STORE write.
    o : Out(stream of :func:`strobe`)
        Strobes.
    active : Out(1)
        A burst has beats to come.
    """

    i: stream.Interface
    data: stream.Interface
    o: stream.Interface
    active: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(wishbone_burst(config))),
            "data": In(stream.Signature(write_beat(config))),
            "o": Out(stream.Signature(strobe(config))),
            "active": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        beat: Any = self.o.payload
        address = Signal.like(beat.adr, reset_less=True)
        left = Signal(8, reset_less=True)
        single = Signal(reset_less=True)
        writing = Signal(reset_less=True)
        last = Signal()
        taken = Signal()
        m.d.comb += [
            last.eq(left == 0),
            self.o.valid.eq(self.active & (~writing | self.data.valid)),
            taken.eq(self.o.valid & self.o.ready),
            self.i.ready.eq(~self.active | (taken & last)),
            self.data.ready.eq(self.active & writing & self.o.ready),
            beat.we.eq(writing),
            beat.adr.eq(address),
            beat.dat_w.eq(self.data.p.data),
            beat.sel.eq(Mux(writing, self.data.p.strobe, ~0)),
            beat.cti.eq(Mux(last, CycleType.END_OF_BURST, CycleType.INCREMENTING)),
        ]
        with m.If(single):
            m.d.comb += beat.cti.eq(CycleType.CLASSIC)
        with m.If(taken):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
        with m.If(self.i.ready):
            burst: Any = self.i.payload
            byte_bits = (self.config.bus.data_bytes - 1).bit_length()
            m.d.sync += [
                self.active.eq(self.i.valid),
                address.eq(burst.request.address[byte_bits:]),
                left.eq(burst.request.last),
                single.eq(burst.request.last == 0),
                writing.eq(burst.client == Client.STORE),
            ]
        return m
