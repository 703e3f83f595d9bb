"""Bytes onto a serial line."""

from fractions import Fraction
from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .bit_clock import BitClock

__all__ = ["FRAME", "SerialSender"]

FRAME = 10
"""Bits of a byte on the line: start, eight of data, stop."""


class SerialSender(wiring.Component):
    """Send bytes, least significant bit first.

    =========== ============================================================
    Latency     the start bit begins in the cycle behind the transfer
    Throughput  a byte in the time of ten bits; the next one may be taken in
                the last cycle of a stop bit
    =========== ============================================================

    Parameters
    ----------
    cycles : Fraction
        Of a bit, at least 4: clock over baud rate.

    Members
    -------
    i : In(stream of 8 bits)
    tx : Out(1)
        A register; high when idle.
    """

    i: Any
    tx: Signal

    def __init__(self, cycles: Fraction | int) -> None:
        self.clock = BitClock(cycles)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.clock = clock = self.clock
        frame, left = Signal(FRAME, init=-1), Signal(range(FRAME + 1))
        m.d.comb += [
            self.tx.eq(frame[0]),
            self.i.ready.eq((left == 0) | ((left == 1) & clock.tick)),
            clock.restart.eq(left == 0),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [frame.eq(Cat(C(0, 1), self.i.payload, C(1, 1))), left.eq(FRAME)]
        with m.Elif(clock.tick & left.any()):
            m.d.sync += [frame.eq(Cat(frame[1:], C(1, 1))), left.eq(left - 1)]
        return m
