"""A serial line: 8 bits, no parity, one stop bit."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from .wishbone import Wishbone

__all__ = ["Uart"]

FRAME = 10
"""Bits of a character on the line: start, eight of data, stop."""


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
        if divisor < 4:
            raise ValueError(f"divisor must be at least 4 cycles of a bit, not {divisor}")
        self.divisor = divisor
        super().__init__({"bus": In(Wishbone(1, 4)), "tx": Out(1), "rx": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        access, at_data = Signal(), Signal()
        ready, received, lost, data = Signal(), Signal(), Signal(), Signal(8)
        m.d.comb += [
            access.eq(bus.cyc & bus.stb & ~bus.ack),
            at_data.eq(access & (bus.adr == 0)),
        ]
        m.d.sync += bus.ack.eq(access)
        with m.If(access):
            m.d.sync += bus.dat_r.eq(Mux(bus.adr, Cat(ready, received, lost), data))
        with m.If(at_data & ~bus.we):
            m.d.sync += [received.eq(0), lost.eq(0)]
        self._send(m, ready, at_data & bus.we & bus.sel[0], bus.dat_w[:8])
        self._receive(m, received, lost, data)
        return m

    def _send(self, m: Module, ready: Signal, write: Value, data: Value) -> None:
        """Shift a frame out, least significant bit first."""
        timer, left, frame = Signal(range(self.divisor)), Signal(range(FRAME + 1)), Signal(FRAME)
        line = Signal(init=1)  # a register: no glitch
        m.d.comb += ready.eq(left == 0)
        with m.If(ready):
            with m.If(write):
                m.d.sync += [
                    frame.eq(Cat(C(0, 1), data, C(1, 1))), left.eq(FRAME),
                    timer.eq(self.divisor - 1),
                ]  # fmt: skip
        with m.Elif(timer == 0):
            m.d.sync += [frame.eq(frame >> 1), left.eq(left - 1), timer.eq(self.divisor - 1)]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        m.d.sync += line.eq(Mux(ready, 1, frame[0]))
        m.d.comb += self.tx.eq(line)

    def _receive(self, m: Module, received: Signal, lost: Signal, data: Signal) -> None:
        """Look at the middle of each bit."""
        rx, timer, left = Signal(init=1), Signal(range(self.divisor)), Signal(range(FRAME + 1))
        frame = Signal(8)
        m.submodules.synchronizer = FFSynchronizer(self.rx, rx, init=1)
        with m.If(left == 0):
            with m.If(~rx):
                m.d.sync += [left.eq(FRAME), timer.eq(self.divisor // 2 - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [left.eq(left - 1), timer.eq(self.divisor - 1)]
            with m.If(left == 1):  # the stop bit; without one it was no character
                with m.If(rx):
                    m.d.sync += [data.eq(frame), received.eq(1), lost.eq(received)]
            with m.Elif((left == FRAME) & rx):  # too short for a start bit
                m.d.sync += left.eq(0)
            with m.Elif(left != FRAME):
                m.d.sync += frame.eq(Cat(frame[1:], rx))
