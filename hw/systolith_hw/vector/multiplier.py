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
        "ecp5" takes one MULT18X18D; "ice40" takes one SB_MAC16 and adds what two upper bits
        make; otherwise synthesis maps a plain product.
    signed_scale : bool
        The scale has 18 bits and a sign, too.

    Members
    -------
    significand : In(signed(18))
    scale : In(16), or In(signed(18))
    product : Out(signed(34)), or Out(signed(36))
    """

    latency = 2

    significand: Signal
    scale: Signal
    product: Signal

    def __init__(self, target: str = "generic", *, signed_scale: bool = False) -> None:
        self.target = target
        scale = signed(NORMAL_BITS) if signed_scale else unsigned(SCALE_BITS)
        super().__init__({
            "significand": In(signed(NORMAL_BITS)),
            "scale": In(scale),
            "product": Out(signed(NORMAL_BITS + scale.width)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        if self.target == "ecp5":
            scale = Signal(signed(PORT_BITS))
            m.d.comb += [
                scale.eq(self.scale),
                self.product.eq(mult18x18d(m, "scale", self.significand, scale)),
            ]
            return m
        significand = Signal.like(self.significand, reset_less=True)
        scale = Signal.like(self.scale, reset_less=True)
        m.d.sync += [significand.eq(self.significand), scale.eq(self.scale)]
        if self.target == "ice40":
            total = significand[SCALE_BITS:].as_signed() * scale
            if len(scale) > SCALE_BITS:
                total += scale[SCALE_BITS:].as_signed() * significand[:SCALE_BITS]
            upper = Signal(signed(len(scale) + 2), reset_less=True)
            m.d.sync += upper.eq(total)
            lower = multiply_16x16(m, "scale", significand[:SCALE_BITS], scale[:SCALE_BITS])
            m.d.comb += self.product.eq(lower + (upper << SCALE_BITS))
        else:
            product = Signal.like(self.product, reset_less=True)
            m.d.comb += self.product.eq(product)
            m.d.sync += product.eq(significand * scale)
        return m
