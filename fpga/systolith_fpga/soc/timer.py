"""How many cycles have passed."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from .wishbone import Wishbone

__all__ = ["Timer"]


class Timer(wiring.Component):
    """Count cycles since the reset, in 64 bits.

    ======= ====================================================================
    Word 0  bits 31:0; reading it keeps bits 63:32 of the same moment for word 1
    Word 1  bits 63:32
    ======= ====================================================================

    An access takes 2 cycles; writes change nothing.

    Members
    -------
    bus : In(Wishbone(1, 4))
    """

    bus: Any

    def __init__(self) -> None:
        super().__init__({"bus": In(Wishbone(1, 4))})

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        now, kept = Signal(64), Signal(32)
        m.d.sync += [now.eq(now + 1), bus.ack.eq(bus.cyc & bus.stb & ~bus.ack)]
        with m.If(bus.cyc & bus.stb & ~bus.ack):
            m.d.sync += bus.dat_r.eq(Mux(bus.adr, kept, now[:32]))
            with m.If(~bus.adr & ~bus.we):
                m.d.sync += kept.eq(now[32:])
        return m
