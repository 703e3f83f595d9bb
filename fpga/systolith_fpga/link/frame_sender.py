"""From frames to bytes of the line."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.link_protocol import END, ESCAPE, ESCAPED_END

from .check import add_crc

__all__ = ["FRAME_BYTE", "FrameSender"]

FRAME_BYTE = data.StructLayout({"data": 8, "last": 1})
"""A byte of header or payload; ``last`` ends the frame."""

LAST_CRC_BYTE = 3


class FrameSender(wiring.Component):
    """Add the CRC, escape, and put END in front and behind.

    =========== =======================================================
    Latency     the first byte of a frame to END in front of it: none
    Throughput  10 cycles for a byte of the frame, 3 for one of the CRC,
                and one more for one that is escaped
    Stall       ``o``; ``i`` in those cycles
    =========== =======================================================

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
        restart = Signal()
        crc = add_crc(m, restart)
        bit, index, closing, ends = Signal(3), Signal(2), Signal(), Signal()
        value, special = Signal(8), Signal()
        m.d.comb += [
            special.eq((value == END) | (value == ESCAPE)),
            crc.data.eq(value[0]),
        ]
        with m.FSM():
            with m.State("begin"):
                m.d.comb += [self.o.valid.eq(self.i.valid), self.o.payload.eq(END)]
                with m.If(self.o.valid & self.o.ready):
                    m.next = "take"
            with m.State("take"):
                m.d.comb += self.i.ready.eq(~closing)
                m.d.sync += [
                    value.eq(Mux(closing, crc.crc.word_select(index, 8), self.i.p.data)),
                    ends.eq(self.i.p.last),
                ]
                with m.If(closing | self.i.valid):
                    m.next = "value"
            with m.State("value"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(Mux(special, ESCAPE, value))]
                with m.If(self.o.ready):
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
                    m.next = "take"
                    with m.If(index == LAST_CRC_BYTE):
                        m.next = "end"
                with m.Else():
                    m.d.comb += crc.valid.eq(1)
                    m.d.sync += [value.eq(value >> 1), bit.eq(bit + 1)]
                    with m.If(bit == 7):
                        m.d.sync += closing.eq(ends)
                        m.next = "take"
            with m.State("end"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(END), restart.eq(1)]
                m.d.sync += closing.eq(0)
                with m.If(self.o.ready):
                    m.next = "begin"
        return m
