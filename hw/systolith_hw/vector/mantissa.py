"""Round a fixed-point value to a mantissa, in one lane of the vector unit."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, WEIGHT_BITS
from .block_exponent import BASE_BITS
from .rounding_shifter import RoundingShifter

__all__ = ["Mantissa"]


class Mantissa(wiring.Component):
    """Compute ``clip(RNE(value / 2**distance), -limit, limit)``, ``limit = 2**(n - 1) - 1``.

    =========== ====================================================
    Latency     3 cycles (:attr:`latency`), the outputs being no registers
    Throughput  1 value per cycle; never stalls
    Golden      :func:`systolith_sim.vector.normalizer.normalize`
    =========== ====================================================

    Parameters
    ----------
    bits : int
        Width of mantissas, n.
    operands : bool
        There are mantissas of 8 bits, too.

    Members
    -------
    value : In(signed(32)), distance : In(5)
        What is divided, and by which power of two.
    operand : In(1)
        The mantissa that comes out has 8 bits, if there are such.
    o : Out(signed(bits))
        The mantissa.
    clipped : Out(1)
        It is not what rounding alone makes.
    """

    latency = RoundingShifter.latency

    value: Signal
    distance: Signal
    operand: Signal
    o: Signal
    clipped: Signal

    def __init__(self, bits: int, *, operands: bool) -> None:
        self.bits = bits
        self.operands = operands
        super().__init__({
            "value": In(signed(FIXED_BITS)),
            "distance": In(BASE_BITS),
            "operand": In(1),
            "o": Out(signed(bits)),
            "clipped": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.shifter = shifter = RoundingShifter(FIXED_BITS, BASE_BITS, self.bits)
        floor, up = shifter.floor, shifter.up
        lowest = Signal()
        m.d.comb += [
            shifter.value.eq(self.value),
            shifter.shift.eq(self.distance),
            # The range is symmetric: the one mantissa too low goes up like any other.
            lowest.eq(floor == -(1 << self.bits - 1)),
            self.clipped.eq(shifter.clipped | (lowest & ~up)),
            # That one's lowest bit is zero, which need not wait for an adder.
            self.o.eq((floor + up) | lowest),
        ]
        if self.operands and self.bits > WEIGHT_BITS:
            # The shifter clips for the longer ones.
            limit = (1 << WEIGHT_BITS - 1) - 1
            rounded = floor + up
            with m.If(self.operand & ((rounded > limit) | (rounded < -limit))):
                m.d.comb += [self.clipped.eq(1), self.o.eq(Mux(floor[-1], -limit, limit))]
        return m
