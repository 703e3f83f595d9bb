"""Find the leading bits of a wide integer."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import NORMAL_BITS

__all__ = ["Significand"]


class Significand(wiring.Component):
    """Turn an integer into a significand of 18 bits and an exponent.

    ``x ~ m * 2**exponent`` with m in [2**16, 2**17) or [-2**17, -2**16), rounded to odd: its
    lowest bit is one if any bit below was. Zero gives m = 0 and any exponent. Copies of the sign
    are shifted out at the top, by 16s, then 4s, then ones. ::

        x ──►[ << 0, 16, 32, 48 ]──►[ << 0, 4, 8, 12 ]──►[ << 0, 1, 2, 3; sticky ]──► m, exponent

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
    exponent : Out(signed(7))
        Its exponent, -17 to bits - 18.
    """

    latency = 3

    x: Signal
    m: Signal
    exponent: Signal

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({
            "x": In(signed(bits)), "m": Out(signed(NORMAL_BITS)), "exponent": Out(signed(7)),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        word: Value = self.x
        sticky: Value = C(0, 1)
        count: Value = C(0, 0)
        for step in (16, 4, 1):
            # Lower bits can no longer come up into the significand: one says what they were.
            kept = min(len(word), NORMAL_BITS + step - 1)
            shifted = Signal(kept, name=f"shifted_{step}")
            digit = Signal(2, name=f"digit_{step}")
            rest = Signal(name=f"rest_{step}")
            for number in range(4):
                distance = number * step
                if distance >= self.bits:
                    break
                head = word[-1 - distance :]
                with m.If((head.all() | ~head.any()) if number else C(1)):
                    m.d.comb += [
                        digit.eq(number),
                        shifted.eq(Cat(C(0, distance), word)[len(word) - kept :]),
                        rest.eq(sticky | word[: max(0, len(word) - kept - distance)].any()),
                    ]
            count = Cat(digit, count)
            if step > 1:
                word = Signal(kept, name=f"word_{step}", reset_less=True)
                sticky = Signal(name=f"sticky_{step}", reset_less=True)
                taken = Signal(len(count), name=f"taken_{step}", reset_less=True)
                m.d.sync += [word.eq(shifted), sticky.eq(rest), taken.eq(count)]
                count = taken

        m.d.sync += [
            self.m.eq(shifted | rest),
            self.exponent.eq(self.bits - NORMAL_BITS - count),
        ]
        return m
