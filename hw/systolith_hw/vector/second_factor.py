"""What wide memory holds, as a second factor: rounded and clipped, or as it is."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, NORMAL_BITS, Config
from ..isa import PRODUCT_SHIFT

__all__ = ["SecondFactor"]


class SecondFactor(wiring.Component):
    """Compute ``clip18(RNE(wide / 2**7))`` in every lane, or take the low 18 bits for an angle.

    =========== ====================================================
    Latency     2 cycles (:attr:`latency`)
    Throughput  1 value per lane and cycle; never stalls
    Golden      ``gate`` in :func:`systolith_sim.vector.product.multiply`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Lanes.

    Members
    -------
    wide : In(ArrayLayout(signed(32), lanes))
        Wide words.
    angle : In(1)
        They hold cosines or sines.
    o : Out(ArrayLayout(signed(18), lanes))
        Factors.
    """

    latency = 2

    wide: data.View
    angle: Signal
    o: data.View

    def __init__(self, config: Config) -> None:
        lanes = config.vector.lanes
        super().__init__({
            "wide": In(data.ArrayLayout(signed(FIXED_BITS), lanes)),
            "angle": In(1),
            "o": Out(data.ArrayLayout(signed(NORMAL_BITS), lanes)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        for lane, wide in enumerate(self.wide):
            rounded = Signal(
                signed(FIXED_BITS - PRODUCT_SHIFT + 1), name=f"rounded_{lane}", reset_less=True
            )
            factor = Signal(signed(NORMAL_BITS), name=f"factor_{lane}", reset_less=True)
            floor, guard = wide[PRODUCT_SHIFT:], wide[PRODUCT_SHIFT - 1]
            up = guard & (wide[: PRODUCT_SHIFT - 1].any() | floor[0])
            sign, upper = rounded[-1], rounded[NORMAL_BITS - 1 :]
            with m.If(self.angle):
                m.d.sync += rounded.eq(wide[:NORMAL_BITS].as_signed())
            with m.Else():
                m.d.sync += rounded.eq(floor.as_signed() + up)
            m.d.sync += factor.eq(rounded)
            with m.If(upper.any() & ~upper.all()):
                m.d.sync += factor.eq(Cat((~sign).replicate(NORMAL_BITS - 1), sign))
            m.d.comb += self.o[lane].eq(factor)
        return m
