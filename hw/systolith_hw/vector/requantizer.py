"""Bring accumulators to 32-bit fixed point: times a scale, plus a bias."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, SHIFT_BITS, Config
from ..memory.scale import scale_factor
from .multiplier import PRODUCT_BITS, Multiplier
from .rounding_shifter import RoundingShifter
from .significand import Significand

__all__ = ["Requantizer"]

DISTANCE_BITS = 6


class Requantizer(wiring.Component):
    """Compute ``z = sat(sat(RNE(x * scale * 2**-shift)) + bias)`` in every lane.

    ``docs/numerics.md``, "Requantise", has the exact integers. ::

        x ──►[ significand ]──►[ × scale ]──►[ >> shift - exponent ]──►[ + bias ]──►[ clip ]──► z
                cycles 0-2       cycles 3-4         cycles 5-7           cycle 8      cycle 9

    =========== ====================================================
    Latency     10 cycles (:attr:`latency`) from ``x`` to ``z``. The constants of that x are wanted
                later than x itself: by :attr:`factor_delay` and :attr:`bias_delay`; ``keep`` by
                :attr:`keep_delay`
    Throughput  1 value per lane and cycle; never stalls
    Golden      :func:`systolith_sim.vector.requantizer.requantize`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Lanes and the width of accumulators.
    target : str
        "generic", "ecp5" or "ice40".
    bits : int, optional
        Width of x, if it is not that of accumulators.

    Members
    -------
    x : In(ArrayLayout(signed(bits), lanes))
        Accumulators.
    factors : In(ArrayLayout(scale_factor(), lanes))
        Multiplier and shift.
    biases : In(ArrayLayout(signed(32), lanes))
        Added, in units of the result.
    keep : In(lanes)
        Lanes that are not zero whatever comes out.
    z : Out(ArrayLayout(signed(32), lanes))
        Fixed-point values.
    saturated : Out(lanes)
        Lanes of ``z`` that were clipped.
    """

    factor_delay = Significand.latency
    """Cycles from ``x`` to ``factors``."""
    bias_delay = factor_delay + Multiplier.latency + RoundingShifter.latency
    """Cycles from ``x`` to ``biases``."""
    keep_delay = bias_delay + 1
    """Cycles from ``x`` to ``keep``."""
    latency = keep_delay + 1

    x: data.View
    factors: data.View
    biases: data.View
    keep: Signal
    z: data.View
    saturated: Signal

    def __init__(
        self, config: Config, target: str = "generic", *, bits: int | None = None
    ) -> None:
        self.config = config
        self.target = target
        self.bits = bits or config.array.accumulator_bits
        lanes = config.vector.lanes
        super().__init__({
            "x": In(data.ArrayLayout(signed(self.bits), lanes)),
            "factors": In(data.ArrayLayout(scale_factor(), lanes)),
            "biases": In(data.ArrayLayout(signed(FIXED_BITS), lanes)),
            "keep": In(lanes),
            "z": Out(data.ArrayLayout(signed(FIXED_BITS), lanes)),
            "saturated": Out(lanes),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        for lane in range(self.config.vector.lanes):
            self._elaborate_lane(m, lane)
        return m

    def _elaborate_lane(self, m: Module, lane: int) -> None:
        """Add the pipeline of one lane."""
        significand = Significand(self.bits)
        multiplier = Multiplier(self.target)
        shifter = RoundingShifter(PRODUCT_BITS, DISTANCE_BITS, FIXED_BITS)
        m.submodules[f"significand_{lane}"] = significand
        m.submodules[f"multiplier_{lane}"] = multiplier
        m.submodules[f"shifter_{lane}"] = shifter
        factor = self.factors[lane]
        exponent = significand.exponent
        distance = Signal(signed(SHIFT_BITS + 1), name=f"distance_{lane}")
        left: Value = Signal(name=f"left_{lane}")
        right: Value = Signal(DISTANCE_BITS, name=f"right_{lane}")
        m.d.comb += [
            significand.x.eq(self.x[lane]),
            multiplier.significand.eq(significand.m),
            multiplier.scale.eq(factor.scale),
            shifter.value.eq(multiplier.product),
            # Only a product that is not zero goes to infinity on the way to the left. Its
            # significand is not zero, since it has an exponent; a scale is zero or normalised.
            distance.eq(factor.shift - exponent),
            left.eq((distance < 0) & factor.scale[-1]),
            # Further than 34 the result is zero, so the largest distance does for all beyond;
            # what is infinite does not move.
            right.eq(
                (distance[:DISTANCE_BITS] | distance[DISTANCE_BITS].replicate(DISTANCE_BITS))
                & ~distance[-1].replicate(DISTANCE_BITS)
            ),
        ]
        for age in range(multiplier.latency):
            left, right = (
                _later(m, value, f"{name}_{age}_{lane}")
                for name, value in (("left", left), ("right", right))
            )
        m.d.comb += [shifter.infinite.eq(left), shifter.shift.eq(right)]
        self._elaborate_bias(m, lane, shifter)

    def _elaborate_bias(self, m: Module, lane: int, shifter: RoundingShifter) -> None:
        """Add the last part of one lane: bias and clipping."""
        total = Signal(signed(FIXED_BITS + 1), name=f"total_{lane}", reset_less=True)
        clipped = Signal(name=f"clipped_{lane}", reset_less=True)
        beyond = Signal(name=f"beyond_{lane}")
        fixed = Signal(signed(FIXED_BITS), name=f"fixed_{lane}")
        saturated = Signal(name=f"saturated_{lane}")
        limit = Cat((~total[-1]).replicate(FIXED_BITS - 1), total[-1])
        m.d.sync += [
            total.eq(shifter.floor + self.biases[lane] + shifter.up),
            # No product lies just below the range and rounds up into it: that would be
            # -2**32 - 1 at distance 1, whose only factors are 641 and 6700417.
            clipped.eq(shifter.clipped),
        ]
        m.d.comb += [
            beyond.eq(total[-1] != total[-2]),
            fixed.eq(Mux(beyond, limit, total)),
            saturated.eq(clipped | beyond),
        ]
        with m.If(~self.keep[lane]):
            m.d.comb += [fixed.eq(0), saturated.eq(0)]
        m.d.comb += [
            self.z[lane].eq(_later(m, fixed, f"fixed_then_{lane}")),
            self.saturated[lane].eq(_later(m, saturated, f"saturated_then_{lane}")),
        ]


def _later(m: Module, value: Value, name: str) -> Signal:
    """Return ``value``, one cycle later."""
    register = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register
