"""A serial line: 8 bits, no parity, one stop bit."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..serial.bit_clock import MIN_CYCLES
from ..serial.receiver import SerialReceiver
from ..serial.sender import SerialSender
from .wishbone import Wishbone

__all__ = ["Uart"]


class Uart(wiring.Component):
    """Send and receive characters.

    ======= ======================================================================
    Word 0  DATA: a write sends bits 7:0, unless one is being sent; a read gives
            the last character received, and clears bit 1 of STATUS
    Word 1  STATUS: bit 0, a character may be sent; bit 1, one has been received;
            bit 2, one was lost since DATA was read last
    ======= ======================================================================

    An access takes 2 cycles.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, at least 4: clock over baud rate.

    Members
    -------
    bus : In(Wishbone(1, 4))
    tx : Out(1)
    rx : In(1)
        Idle lines are high; ``rx`` is synchronised here.
    """

    bus: Any
    tx: Signal
    rx: Signal

    def __init__(self, divisor: int) -> None:
        if divisor < MIN_CYCLES:
            raise ValueError(
                f"divisor must be at least {MIN_CYCLES} cycles of a bit, not {divisor}"
            )
        self.divisor = divisor
        super().__init__({"bus": In(Wishbone(1, 4)), "tx": Out(1), "rx": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        m.submodules.sender = sender = SerialSender(self.divisor)
        m.submodules.receiver = receiver = SerialReceiver(self.divisor)
        access, at_data = Signal(), Signal()
        received, lost, data = Signal(), Signal(), Signal(8)
        m.d.comb += [
            access.eq(bus.cyc & bus.stb & ~bus.ack),
            at_data.eq(access & (bus.adr == 0)),
            sender.i.valid.eq(at_data & bus.we & bus.sel[0]),
            sender.i.payload.eq(bus.dat_w[:8]),
            self.tx.eq(sender.tx),
            receiver.rx.eq(self.rx),
        ]
        m.d.sync += bus.ack.eq(access)
        with m.If(access):
            m.d.sync += bus.dat_r.eq(Mux(bus.adr, Cat(sender.i.ready, received, lost), data))
        with m.If(at_data & ~bus.we):
            m.d.sync += [received.eq(0), lost.eq(0)]
        with m.If(receiver.o.valid):
            m.d.sync += [data.eq(receiver.o.payload), received.eq(1), lost.eq(received)]
        return m
