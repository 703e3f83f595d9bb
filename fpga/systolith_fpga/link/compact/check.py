"""CRC-32 of what goes through the accumulator, a bit at a time."""

import zlib

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Check"]

POLYNOMIAL = 0xEDB88320
"""Of zlib's CRC-32, with its lowest bit first."""

REST = zlib.crc32(bytes(4)) ^ 0xFFFFFFFF
"""What is left behind a message and its CRC; no bytes have the CRC 0."""


class Check(wiring.Component):
    """Take a bit, or give one.

    Members
    -------
    restart : In(1)
        Begin anew.
    step : In(1)
        Take ``i``; or with ``give``, go on to the CRC's next bit.
    give, i : In(1)
    o : Out(1)
        The CRC's next bit, lowest first.
    right : Out(1)
        What was taken ends with its CRC.
    """

    restart: Signal
    step: Signal
    give: Signal
    i: Signal
    o: Signal
    right: Signal

    def __init__(self) -> None:
        super().__init__({
            "restart": In(1), "step": In(1), "give": In(1), "i": In(1), "o": Out(1),
            "right": Out(1),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        value, feedback = Signal(32, init=-1), Signal()
        m.d.comb += [
            feedback.eq((value[0] ^ self.i) & ~self.give),
            self.o.eq(~value[0]), self.right.eq(value == REST),
        ]  # fmt: skip
        with m.If(self.restart):
            m.d.sync += value.eq(-1)
        with m.Elif(self.step):
            m.d.sync += value.eq((value >> 1) ^ Mux(feedback, POLYNOMIAL, 0))
        return m
