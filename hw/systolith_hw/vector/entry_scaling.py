"""Multiply the scale entries of a beat by the factor of its row."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import SCALE_BITS, SHIFT_BITS, Config
from ..memory.scale import scale_factor
from ..tables import FRACTION
from .multiplier import Multiplier
from .row_shapes import factor

__all__ = ["EntryScaling"]

ALIGNED = SCALE_BITS - 1 + FRACTION
"""Taken off the sum of both shifts: a product of scales, less its low half, and LSBs of 2**-16."""


class EntryScaling(wiring.Component):
    """Compute ``entry * factor * 2**16`` in every lane, rounded down to 16 bits, or the entry.

    =========== ====================================================
    Latency     3 cycles (:attr:`latency`)
    Throughput  1 entry per lane and cycle; never stalls
    Golden      :func:`systolith_sim.vector.row.multiply_entries`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Lanes.
    target : str
        "generic", "ecp5" or "ice40": for the multipliers.

    Members
    -------
    entries : In(lanes of scale_factor)
        Of scale memory; a scale is zero or has bit 15 set.
    factor : In(factor())
        The row's.
    scaled : In(1)
        Multiply.
    o : Out(lanes of scale_factor)
        Entries for the requantiser.
    """

    latency = Multiplier.latency + 1

    entries: data.View
    factor: data.View
    scaled: Signal
    o: data.View

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.target = target
        entries = data.ArrayLayout(scale_factor(), config.vector.lanes)
        super().__init__({
            "entries": In(entries),
            "factor": In(factor()),
            "scaled": In(1),
            "o": Out(entries),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        scaled = _later(m, "scaled", self.scaled, Multiplier.latency)
        for lane, entry in enumerate(self.entries):
            m.submodules[f"multiplier_{lane}"] = multiplier = Multiplier(self.target)
            sum_now = Signal(SHIFT_BITS, name=f"sum_{lane}")
            m.d.comb += [
                multiplier.significand.eq(self.factor.scale),
                multiplier.scale.eq(entry.scale),
                sum_now.eq(entry.shift + self.factor.shift - ALIGNED),
            ]
            shift = _later(m, f"shift_{lane}", sum_now, Multiplier.latency)
            kept = _later(m, f"kept_{lane}", entry.as_value(), Multiplier.latency)
            product = multiplier.product[: 2 * SCALE_BITS]
            large = product[-1]
            o: Any = Signal(scale_factor(), name=f"o_{lane}", reset_less=True)
            m.d.comb += self.o[lane].eq(o)
            with m.If(scaled):
                m.d.sync += [
                    o.scale.eq(Mux(large, product[SCALE_BITS:], product[SCALE_BITS - 1 : -1])),
                    o.shift.eq(shift - large),
                ]
            with m.Else():
                m.d.sync += o.eq(kept)
        return m


def _later(m: Module, name: str, value: Value, cycles: int) -> Value:
    """Return ``value``, some cycles later."""
    for age in range(1, cycles + 1):
        register = Signal(value.shape(), name=f"{name}_later_{age}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value
