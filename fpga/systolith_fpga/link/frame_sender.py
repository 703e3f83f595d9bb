"""From frames to bytes of the line."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.link_protocol import END, ESCAPE, ESCAPED_END

from .check import crc_processor

__all__ = ["FRAME_BYTE", "FrameSender"]

FRAME_BYTE = data.StructLayout({"data": 8, "last": 1})
"""A byte of header or payload; ``last`` ends the frame."""

LAST_CRC_BYTE = 3


class FrameSender(wiring.Component):
    """Add the CRC, escape, and put END in front and behind.

    =========== ========================================================
    Latency     the first byte of a frame to END in front of it: none
    Throughput  9 cycles for a byte of the frame, 10 for one that is
                escaped, 2 for one of the CRC
    Stall       ``o``; ``i`` in those cycles
    =========== ========================================================

    Members
    -------
    i : In(stream of FRAME_BYTE)
    o : Out(stream of 8 bits)
    """

    i: Any
    o: Any

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(FRAME_BYTE)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.crc = crc = crc_processor()
        bit, index, closing = Signal(3), Signal(2), Signal()
        value, special = Signal(8), Signal()
        m.d.comb += [
            value.eq(Mux(closing, crc.crc.word_select(index, 8), self.i.p.data)),
            special.eq((value == END) | (value == ESCAPE)),
            crc.data.eq(self.i.p.data.bit_select(bit, 1)),
        ]
        with m.FSM():
            with m.State("begin"):
                m.d.comb += [self.o.valid.eq(self.i.valid), self.o.payload.eq(END)]
                with m.If(self.o.valid & self.o.ready):
                    m.next = "value"
            with m.State("value"):
                m.d.comb += [self.o.valid.eq(closing | self.i.valid),
                             self.o.payload.eq(Mux(special, ESCAPE, value))]  # fmt: skip
                with m.If(self.o.valid & self.o.ready):
                    m.next = "check"
                    with m.If(special):
                        m.next = "escape"
            with m.State("escape"):
                # What follows ESCAPE differs in bit 0 for the two.
                m.d.comb += [self.o.valid.eq(1),
                             self.o.payload.eq(ESCAPED_END | (value == ESCAPE))]  # fmt: skip
                with m.If(self.o.ready):
                    m.next = "check"
            with m.State("check"):
                with m.If(closing):
                    m.d.sync += index.eq(index + 1)
                    m.next = "value"
                    with m.If(index == LAST_CRC_BYTE):
                        m.next = "end"
                with m.Else():
                    m.d.comb += crc.valid.eq(1)
                    m.d.sync += bit.eq(bit + 1)
                    with m.If(bit == 7):
                        m.d.comb += self.i.ready.eq(1)
                        m.d.sync += closing.eq(self.i.p.last)
                        m.next = "value"
            with m.State("end"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(END), crc.start.eq(1)]
                m.d.sync += closing.eq(0)
                with m.If(self.o.ready):
                    m.next = "begin"
        return m
