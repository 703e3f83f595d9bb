"""Bytes from a serial line."""

from fractions import Fraction
from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from .bit_clock import BitClock
from .sender import FRAME

__all__ = ["SerialReceiver"]


class SerialReceiver(wiring.Component):
    """Look at the middle of each bit. What has no stop bit, or half a start bit, was no byte.

    Parameters
    ----------
    cycles : Fraction
        Of a bit, at least 4: clock over baud rate. The sender's may differ by 3 percent where it
        is large, and by less than that where a cycle is a good part of a bit.

    Members
    -------
    rx : In(1)
        High when idle; synchronised here.
    o : Out(stream of 8 bits, always ready)
        At least ``9 * cycles`` cycles pass between two bytes.
    """

    rx: Signal
    o: Any

    def __init__(self, cycles: Fraction | int) -> None:
        self.clock = BitClock(cycles, middle=True)
        super().__init__({"rx": In(1), "o": Out(stream.Signature(8, always_ready=True))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.clock = clock = self.clock
        rx, left, frame = Signal(init=1), Signal(range(FRAME + 1)), Signal(8)
        m.submodules.synchronizer = FFSynchronizer(self.rx, rx, init=1)
        m.d.comb += [clock.restart.eq(left == 0), self.o.payload.eq(frame)]
        m.d.sync += self.o.valid.eq(0)
        with m.If(left == 0):
            m.d.sync += left.eq(Mux(rx, 0, FRAME))
        with m.Elif(clock.tick):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):  # the stop bit
                m.d.sync += self.o.valid.eq(rx)
            with m.Elif((left == FRAME) & rx):  # too short for a start bit
                m.d.sync += left.eq(0)
            with m.Elif(left != FRAME):
                m.d.sync += frame.eq(Cat(frame[1:], rx))
        return m
