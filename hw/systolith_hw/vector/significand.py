"""Find the leading bits of a wide integer."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import NORMAL_BITS

__all__ = ["Significand"]

GROUPS = ((32, 16), (8, 4), (2, 1))
"""Powers of two of the exponent, between registers."""


class Significand(wiring.Component):
    """Turn an integer into a significand of 18 bits and an exponent.

    ``x ~ m * 2**exponent`` with the smallest exponent from 0 on for which m, rounded to minus
    infinity, is in [-2**17, 2**17); the lowest bit of m is then one if any bit below was. So a
    short x is its own significand, and any other is normalised. ::

        x ──►[ >> 32, 16 ]──►[ >> 8, 4 ]──►[ >> 2, 1; sticky ]──► m, exponent

    =========== ====================================================
    Latency     3 cycles (:attr:`latency`)
    Throughput  1 value per cycle; never stalls
    Golden      :func:`systolith_sim.vector.requantizer.normalize_significand`
    =========== ====================================================

    Parameters
    ----------
    bits : int
        Width of x, 18 to 64.

    Members
    -------
    x : In(signed(bits))
        The integer.
    m : Out(signed(18))
        Its significand.
    exponent : Out(range(bits - 17))
        Its exponent.
    """

    latency = len(GROUPS)

    x: Signal
    m: Signal
    exponent: Signal

    def __init__(self, bits: int) -> None:
        super().__init__({
            "x": In(signed(bits)),
            "m": Out(signed(NORMAL_BITS)),
            "exponent": Out(range(bits - NORMAL_BITS + 1)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        word: Value = self.x
        sticky: Value = C(0, 1)
        exponent: Value = C(0, 0)
        for group in GROUPS:
            start, before = word, None
            for power in group:
                if len(word) >= NORMAL_BITS + power:
                    # Smaller powers cannot bring the word to 18 bits. Asked of what the group
                    # begins with, so that its powers are known side by side.
                    place = NORMAL_BITS + power - 2
                    long = Signal(name=f"long_{power}")
                    m.d.comb += long.eq(_reaches(start, place))
                    if before is not None:
                        with m.If(before[0]):
                            m.d.comb += long.eq(_reaches(start, place + before[1]))
                    before = long, power
                    word, lost = _shift(m, word, long, power)
                    sticky, exponent = sticky | lost, Cat(long, exponent)
            if group != GROUPS[-1]:
                values = word, sticky, exponent
                word, sticky, exponent = registers = [
                    Signal(len(value), name=f"register_{group[0]}_{index}", reset_less=True)
                    for index, value in enumerate(values)
                ]
                m.d.sync += [to.eq(value) for to, value in zip(registers, values, strict=True)]
        last = Signal.like(self.m, reset_less=True)
        last_exponent = Signal.like(self.exponent, reset_less=True)
        m.d.comb += [self.m.eq(last), self.exponent.eq(last_exponent)]
        m.d.sync += [last.eq(word | sticky), last_exponent.eq(exponent)]
        return m


def _reaches(word: Value, place: int) -> Value:
    """Return whether some bit from ``place`` on is no copy of the sign."""
    copies = word[min(place, len(word) - 1) : -1]
    return (copies ^ word[-1].replicate(len(copies))).any()


def _shift(m: Module, word: Value, long: Value, power: int) -> tuple[Signal, Value]:
    """Shift right by ``power`` if ``long``; return what is left, and whether a one is lost."""
    kept = NORMAL_BITS + power - 1
    shifted = Signal(kept, name=f"shifted_{power}")
    m.d.comb += shifted.eq(Mux(long, word[power:].as_signed(), word[:kept].as_signed()))
    return shifted, long & word[:power].any()
