"""How far a power of two is to be shifted."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS
from ..tables import FRACTION

__all__ = ["PowerDistance"]

INTEGER_BITS = FIXED_BITS - FRACTION
LONG_BITS = 6
SHORT_BITS = 5


class PowerDistance(wiring.Component):
    """Compute ``reference - floor(z)``, clipped where any more shifts everything out.

    A negative distance, which only a value can have that its row does not count, is clipped, too.

    =========== ======================================================================
    Latency     2 cycles (:attr:`latency`)
    Throughput  1 value per cycle; never stalls
    Golden      :func:`systolith_sim.vector.exponential.exponentiate`, ``distance``
    =========== ======================================================================

    Members
    -------
    reference : In(signed(16))
        Integer part of the row's largest value.
    z : In(signed(32))
        Fixed point, LSB 2**-16.
    long : Out(6)
        The distance, or 48: leaves room for 15 more.
    short : Out(5)
        The distance, or 31.
    """

    latency = 2

    reference: Signal
    z: Signal
    long: Signal
    short: Signal

    def __init__(self) -> None:
        super().__init__({
            "reference": In(signed(INTEGER_BITS)),
            "z": In(signed(FIXED_BITS)),
            "long": Out(LONG_BITS),
            "short": Out(SHORT_BITS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        distance = Signal(signed(INTEGER_BITS + 1), reset_less=True)
        long = Signal.like(self.long, reset_less=True)
        short = Signal.like(self.short, reset_less=True)
        m.d.comb += [self.long.eq(long), self.short.eq(short)]
        beyond = distance[LONG_BITS:].any()  # or negative
        with m.If(beyond | distance[LONG_BITS - 2 : LONG_BITS].all()):
            m.d.sync += long.eq(0b11 << LONG_BITS - 2)
        with m.Else():
            m.d.sync += long.eq(distance)
        with m.If(beyond | distance[SHORT_BITS]):
            m.d.sync += short.eq(-1)
        with m.Else():
            m.d.sync += short.eq(distance)
        m.d.sync += distance.eq(self.reference - self.z[FRACTION:].as_signed())
        return m
