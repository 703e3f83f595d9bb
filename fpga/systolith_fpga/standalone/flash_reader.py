"""Bytes out of SPI flash memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .spi_flash import FlashPins

__all__ = ["ADDRESS_BITS", "FAST_READ", "FlashReader"]

FAST_READ = 0x0B
ADDRESS_BITS = 24
HEADER_BITS = 40
"""Command, address, and eight clocks in which nothing is said."""


class FlashReader(wiring.Component):
    """Read so many bytes from an address on, by Fast Read: mode 0, one line each way.

    The clock stands still, low, before a byte for which there is no room. What the chip sends at
    one falling edge is taken at the next, so that the way there and back may take nearly a period.

    =========== =============================================================
    Latency     96 ``half`` cycles from the request to the first byte
    Throughput  a byte in 16 ``half`` cycles
    Stall       ``o``; between requests ``deselect`` cycles
    =========== =============================================================

    Parameters
    ----------
    half : int
        Cycles of half a period of the chip's clock.
    deselect : int
        Cycles for which the chip is left alone between two reads.

    Members
    -------
    request : In(stream of address, 24 bits, and of bytes less one, 24 bits)
    o : Out(stream of 8 bits)
    pins : Out(FlashPins)
        All outputs are registers.
    """

    request: Any
    o: Any
    pins: Any

    def __init__(self, half: int, deselect: int) -> None:
        if half < 1 or deselect < 1:
            raise ValueError(f"half and deselect must be at least 1, not {half} and {deselect}")
        self.half, self.deselect = half, deselect
        asked = data.StructLayout({"address": ADDRESS_BITS, "last": ADDRESS_BITS})
        super().__init__({
            "request": In(stream.Signature(asked)), "o": Out(stream.Signature(8)),
            "pins": Out(FlashPins()),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        pins, request = self.pins, self.request
        timer, left = Signal(range(max(self.half, self.deselect))), Signal(ADDRESS_BITS)
        bits, tick, out = Signal(range(HEADER_BITS)), Signal(), Signal(32)
        m.d.comb += [tick.eq(timer == 0), pins.copi.eq(out[-1])]
        m.d.sync += timer.eq(Mux(tick, self.half - 1, timer - 1))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += request.ready.eq(1)
                m.d.sync += [
                    out.eq(Cat(request.p.address, C(FAST_READ, 8))), left.eq(request.p.last),
                    bits.eq(HEADER_BITS - 1), timer.eq(self.half - 1),
                ]  # fmt: skip
                with m.If(request.valid):
                    m.d.sync += pins.cs_n.eq(0)
                    m.next = "ask"
            with m.State("ask"):
                with m.If(tick):
                    m.d.sync += pins.clk.eq(~pins.clk)
                with m.If(tick & pins.clk):
                    m.d.sync += [out.eq(out << 1), bits.eq(bits - 1)]
                    with m.If(bits == 0):
                        m.d.sync += bits.eq(7)
                        m.next = "take"
            with m.State("take"):
                with m.If(self._take(m, tick, timer, bits)):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 0):
                        m.next = "close"
            with m.State("close"):
                with m.If(tick):
                    m.d.sync += [pins.cs_n.eq(1), timer.eq(self.deselect - 1)]
                    m.next = "rest"
            with m.State("rest"):
                with m.If(tick):
                    m.next = "idle"
        return m

    def _take(self, m: Module, tick: Signal, timer: Signal, bits: Signal) -> Value:
        """Take a bit at each falling edge; return that this is the last one of a byte."""
        pins, taken = self.pins, Signal(7)
        room, whole = Signal(), Signal()
        m.d.comb += [
            room.eq((bits != 7) | ~self.o.valid | self.o.ready),
            whole.eq(tick & pins.clk & (bits == 0)),
        ]
        with m.If(tick & ~pins.clk):
            m.d.sync += [pins.clk.eq(room), timer.eq(Mux(room, self.half - 1, 0))]
        with m.Elif(tick):
            m.d.sync += [
                pins.clk.eq(0), taken.eq(Cat(pins.cipo, taken)),
                bits.eq(Mux(whole, 7, bits - 1)),
            ]  # fmt: skip
        with m.If(whole):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(Cat(pins.cipo, taken))]
        return whole
