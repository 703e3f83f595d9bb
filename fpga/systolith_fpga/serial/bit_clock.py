"""When the next bit of a serial line begins."""

from fractions import Fraction

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["MIN_CYCLES", "BitClock"]

MIN_CYCLES = 4
"""Fewer cycles of a bit than that leave no time to look at its middle."""

TOLERANCE = Fraction(1, 1000)
"""Of the bits' mean length; half a bit is lost in 1/20 of it, over ten bits and two ends."""

MAX_BITS = 24


class BitClock(wiring.Component):
    """Tick once for each bit, on average every ``cycles`` cycles.

    Carries of an accumulator: single bits last a cycle more or less than the mean, which may be
    any fraction. The mean is right within 1/1000.

    Parameters
    ----------
    cycles : Fraction
        Of a bit, at least 4: clock over baud rate.
    middle : bool
        Tick in the middle of bits: first half a bit after ``restart``, and not a whole one.

    Members
    -------
    restart : In(1)
        A bit begins behind this cycle.
    tick : Out(1)
    """

    restart: Signal
    tick: Signal

    def __init__(self, cycles: Fraction | int, *, middle: bool = False) -> None:
        if cycles < MIN_CYCLES:
            raise ValueError(f"cycles of a bit must be at least {MIN_CYCLES}, not {cycles}")
        for bits in range(3, MAX_BITS + 1):
            step = round(Fraction(1 << bits) / cycles)
            if step and abs(step * Fraction(cycles) / (1 << bits) - 1) <= TOLERANCE:
                break
        else:
            raise ValueError(f"cycles of a bit must be fewer than {1 << MAX_BITS}, not {cycles}")
        self.bits, self.step, self.middle = bits, step, middle
        super().__init__({"restart": In(1), "tick": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        phase, total = Signal(self.bits), Signal(self.bits + 1)
        first = 1 << (self.bits - 1) if self.middle else 0
        m.d.comb += [total.eq(phase + self.step), self.tick.eq(total[-1])]
        m.d.sync += phase.eq(Mux(self.restart, first, total))
        return m
