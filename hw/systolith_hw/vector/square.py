"""Square a mantissa."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .multiplier import Multiplier

__all__ = ["Square"]

LOGIC_BITS = 8


class Square(wiring.Component):
    """Compute ``square = mantissa**2``.

    Up to 8 bits, by default, from logic: some 50 LUTs of an ECP5. Each bit of the magnitude m that
    is one adds itself and twice the bits above it, so that no product of two bits is formed twice::

        m**2 = sum over i of m[i] * 4**i * (1 + 4 * (m >> i + 1))

    =========== ============================================
    Latency     2 cycles (:attr:`latency`), either way
    Throughput  1 value per cycle; never stalls
    =========== ============================================

    Parameters
    ----------
    bits : int
        Width of a mantissa, 8 to 16.
    multiplier : bool
        Take a multiplier also up to 8 bits.
    target : str
        "generic", "ecp5" or "ice40".

    Members
    -------
    mantissa : In(signed(bits))
        From -(2**(bits - 1) - 1) on, as normalizers make them.
    square : Out(2 * bits - 2)
        Its square.
    """

    latency = 2

    mantissa: Signal
    square: Signal

    def __init__(self, bits: int, *, multiplier: bool = False, target: str = "generic") -> None:
        self.multiplier = multiplier or bits > LOGIC_BITS
        self.target = target
        super().__init__({"mantissa": In(signed(bits)), "square": Out(2 * bits - 2)})

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = len(self.mantissa) - 1
        magnitude = Signal(bits)
        m.d.comb += magnitude.eq(abs(self.mantissa))
        if self.multiplier:
            m.submodules.multiplier = multiplier = Multiplier(self.target)
            m.d.comb += [
                multiplier.significand.eq(magnitude),
                multiplier.scale.eq(magnitude),
                self.square.eq(multiplier.product),
            ]
            return m
        held = Signal(bits, reset_less=True)
        square = Signal.like(self.square, reset_less=True)
        rows: list[Value] = [
            Cat(C(0, 2 * bit), held[bit], C(0, 1), held[bit + 1 :] & held[bit].replicate(bits))
            for bit in range(bits)
        ]
        while len(rows) > 1:
            rows = [sum(rows[at : at + 2], C(0, 1)) for at in range(0, len(rows), 2)]
        m.d.sync += [held.eq(magnitude), square.eq(rows[0])]
        m.d.comb += self.square.eq(square)
        return m
