"""From a value to the place in a table that tells its function."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, NORMAL_BITS
from ..tables import FRACTION, FUNCTION_RANGE_BITS, SEGMENT_BITS

__all__ = ["REST_BITS", "Argument"]

RANGE_BITS = FRACTION + FUNCTION_RANGE_BITS
"""Bits of a magnitude that is tabulated."""

REST_BITS = RANGE_BITS - SEGMENT_BITS
"""Bits of a magnitude below its segment."""


class Argument(wiring.Component):
    """Split a value, as its operation wants it, into segment and rest.

    GELU and SiLU take the magnitude, ``|z| = segment * 2**12 + rest``; the exponential takes the
    fraction, ``z mod 2**16 = segment * 2**9 + rest / 8``: its rest is as long, so that a line's
    rise times the rest always has the same LSB. Products and the affine map take z itself, of 18
    bits.

    =========== ==================================================================
    Latency     1 cycle (:attr:`latency`)
    Throughput  1 value per cycle; never stalls
    Golden      :func:`systolith_sim.vector.function.rectify`,
                :func:`systolith_sim.vector.exponential.exponentiate`, first lines
    =========== ==================================================================

    Members
    -------
    exponential : In(1), rectifier : In(1)
        What z is for, if it is for a table.
    z : In(signed(32))
        Fixed point, LSB 2**-16.
    segment : Out(7), rest : Out(12)
        A line, and how far on it.
    tabulated : Out(1)
        The line counts: an exponential, or GELU or SiLU of a magnitude below 8.
    clipped : Out(signed(18))
        z, clipped.
    """

    latency = 1

    exponential: Signal
    rectifier: Signal
    z: Signal
    segment: Signal
    rest: Signal
    tabulated: Signal
    clipped: Signal

    def __init__(self) -> None:
        super().__init__({
            "exponential": In(1),
            "rectifier": In(1),
            "z": In(signed(FIXED_BITS)),
            "segment": Out(SEGMENT_BITS),
            "rest": Out(REST_BITS),
            "tabulated": Out(1),
            "clipped": Out(signed(NORMAL_BITS)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        registers = []
        for name in ("segment", "rest", "tabulated", "clipped"):
            register = Signal.like(getattr(self, name), name=name, reset_less=True)
            m.d.comb += getattr(self, name).eq(register)
            registers.append(register)
        segment, rest, tabulated, clipped = registers
        z, negative = self.z, self.z[-1]
        magnitude = Signal(RANGE_BITS + 1)  # its last bit: -8 exactly
        low = z[: len(magnitude)]
        m.d.comb += magnitude.eq((low ^ negative.replicate(len(low))) + negative)
        m.d.sync += clipped.eq(
            Mux(_fits(z, NORMAL_BITS), z, Cat((~negative).replicate(NORMAL_BITS - 1), negative))
        )
        with m.If(self.exponential):
            lower = FRACTION - SEGMENT_BITS
            m.d.sync += [
                segment.eq(z[lower:FRACTION]),
                rest.eq(z[:lower] << REST_BITS - lower),
                tabulated.eq(1),
            ]
        with m.Else():
            m.d.sync += [
                segment.eq(magnitude[REST_BITS:]),
                rest.eq(magnitude),
                tabulated.eq(self.rectifier & _fits(z, RANGE_BITS + 1) & ~magnitude[-1]),
            ]
        return m


def _fits(value: Value, bits: int) -> Value:
    """Return whether a signed value needs no more than ``bits`` bits."""
    copies = value[bits - 1 : -1]
    return ~(copies ^ value[-1].replicate(len(copies))).any()
