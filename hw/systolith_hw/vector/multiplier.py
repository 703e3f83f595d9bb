"""Multiply a significand by a scale."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import NORMAL_BITS, SCALE_BITS
from ..vendor.ecp5 import PORT_BITS, mult18x18d
from ..vendor.ice40 import multiply_16x16

__all__ = ["PRODUCT_BITS", "Multiplier"]

PRODUCT_BITS = NORMAL_BITS + SCALE_BITS


class Multiplier(wiring.Component):
    """Compute ``product = significand * scale``, registered before and behind.

    =========== ====================================================
    Latency     2 cycles (:attr:`latency`), on every target
    Throughput  1 product per cycle
    =========== ====================================================

    Parameters
    ----------
    target : str
        "ecp5" takes one MULT18X18D; "ice40" takes one SB_MAC16 and adds the significand's two
        upper bits; otherwise synthesis maps a plain product.

    Members
    -------
    significand : In(signed(18))
    scale : In(16)
    product : Out(signed(34))
    """

    latency = 2

    significand: Signal
    scale: Signal
    product: Signal

    def __init__(self, target: str = "generic") -> None:
        self.target = target
        super().__init__({
            "significand": In(signed(NORMAL_BITS)),
            "scale": In(SCALE_BITS),
            "product": Out(signed(PRODUCT_BITS)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        if self.target == "ecp5":
            unsigned = Cat(self.scale, C(0, PORT_BITS - SCALE_BITS))
            m.d.comb += self.product.eq(mult18x18d(m, "scale", self.significand, unsigned))
            return m
        significand = Signal.like(self.significand, reset_less=True)
        scale = Signal.like(self.scale, reset_less=True)
        m.d.sync += [significand.eq(self.significand), scale.eq(self.scale)]
        if self.target == "ice40":
            upper = Signal(signed(SCALE_BITS + 2), reset_less=True)
            m.d.sync += upper.eq(significand[SCALE_BITS:].as_signed() * scale)
            lower = multiply_16x16(m, "scale", significand[:SCALE_BITS], scale)
            m.d.comb += self.product.eq(lower + (upper << SCALE_BITS))
        else:
            product = Signal.like(self.product, reset_less=True)
            m.d.comb += self.product.eq(product)
            m.d.sync += product.eq(significand * scale)
        return m
