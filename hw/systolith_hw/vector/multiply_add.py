"""Multiply a significand by a scale, or pass a fixed-point value on."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, NORMAL_BITS, SCALE_BITS
from ..vendor.ice40 import multiply_add_16x16
from .multiplier import PRODUCT_BITS

__all__ = ["MultiplyAdd"]


class MultiplyAdd(wiring.Component):
    """Compute ``total = addend + significand * scale``, one of the two being zero.

    =========== ====================================================
    Latency     1 cycle, on every target
    Throughput  1 total per cycle
    =========== ====================================================

    Parameters
    ----------
    target : str
        "ice40" takes one SB_MAC16 and adds the significand's two upper bits; otherwise synthesis
        maps a plain product.

    Members
    -------
    enable : In(1)
        ``total`` stays without.
    significand : In(signed(18))
    scale : In(16)
    addend : In(signed(32))
    total : Out(signed(34))
    """

    enable: Signal
    significand: Signal
    scale: Signal
    addend: Signal
    total: Signal

    def __init__(self, target: str = "generic") -> None:
        self.target = target
        super().__init__({
            "enable": In(1),
            "significand": In(signed(NORMAL_BITS)),
            "scale": In(SCALE_BITS),
            "addend": In(signed(FIXED_BITS)),
            "total": Out(signed(PRODUCT_BITS)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        if self.target == "ice40":
            self._elaborate_ice40(m)
            return m
        total = Signal.like(self.total, reset_less=True)
        m.d.comb += self.total.eq(total)
        with m.If(self.enable):
            m.d.sync += total.eq(self.addend + self.significand * self.scale)
        return m

    def _elaborate_ice40(self, m: Module) -> None:
        """Add an SB_MAC16, and what its unsigned factors lack.

        The two upper bits of the significand, as a number, are -2, -1, 0 or 1. The scale times
        that is a row of gates and, below a negative one, a carry.
        """
        odd, negative = self.significand[SCALE_BITS:]
        double = Cat(C(0, 1), self.scale, C(0, 1))
        single = Cat(self.scale, C(0, 2))
        upper = Signal(SCALE_BITS + 2, reset_less=True)
        carry = Signal(reset_less=True)
        with m.If(self.enable):
            m.d.sync += carry.eq(negative)
            with m.If(negative):
                m.d.sync += upper.eq(~Mux(odd, single, double))
            with m.Elif(odd):
                m.d.sync += upper.eq(single)
            with m.Else():  # the addend's sign
                m.d.sync += upper.eq(Cat(C(0, SCALE_BITS), self.addend[-1].replicate(2)))
        lower = multiply_add_16x16(
            m, "scale", self.significand[:SCALE_BITS], self.scale, self.addend, enable=self.enable
        )
        # The carry comes in below the lowest bits.
        top = (Cat(carry, lower[SCALE_BITS:]) + Cat(carry, upper))[1 : len(upper) + 1]
        m.d.comb += self.total.eq(Cat(lower[:SCALE_BITS], top))
