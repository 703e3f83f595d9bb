"""Divide, two bits of the quotient in a cycle, and take roots, one bit in a cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import NORMAL_BITS, SCALE_BITS

__all__ = ["RADICAND_BITS", "DigitRecurrence"]

RADICAND_BITS = 2 * SCALE_BITS


class DigitRecurrence(wiring.Component):
    """Compute ``(2**33 - 1) // divisor`` or ``isqrt(radicand)``: 16 bits either way.

    In each cycle the remainder moves two bits to the left, two more of the number coming in from
    below, and what the next digit of the result would take off is tried, all digits side by side::

        quotient   4 * remainder + 3           - divisor, 2 * divisor, 3 * divisor
        root       4 * remainder + two bits    - (4 * result + 1)

    =========== =========================================================================
    Latency     10 cycles from ``start`` to a quotient (:attr:`latency`), 17 to a root
                (:attr:`root_latency`); ``done`` is a cycle ahead of either
    Throughput  1 result in that time
    Golden      :func:`systolith_sim.vector.row.invert`, :func:`math.isqrt`
    =========== =========================================================================

    Members
    -------
    start : In(1)
        Take the operands.
    root : In(1)
        Take the root, do not divide.
    divisor : In(18)
        With bit 17 set.
    radicand : In(32)
        Any.
    done : Out(1)
        ``result`` is there in the next cycle, and stays until the next start.
    result : Out(16)
        The quotient or the root.
    """

    latency = 2 + SCALE_BITS // 2
    root_latency = 1 + SCALE_BITS

    start: Signal
    root: Signal
    divisor: Signal
    radicand: Signal
    done: Signal
    result: Signal

    def __init__(self) -> None:
        super().__init__({
            "start": In(1),
            "root": In(1),
            "divisor": In(NORMAL_BITS),
            "radicand": In(RADICAND_BITS),
            "done": Out(1),
            "result": Out(SCALE_BITS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        remainder = Signal(NORMAL_BITS, reset_less=True)
        divisor = Signal(NORMAL_BITS, reset_less=True)
        triple = Signal(NORMAL_BITS + 2, reset_less=True)
        coming = Signal(RADICAND_BITS, reset_less=True)
        result = Signal.like(self.result, reset_less=True)
        rooting = Signal(reset_less=True)
        busy = Signal(SCALE_BITS)  # its one moves to the end
        tripling = SCALE_BITS // 2 - 1  # where it begins for a quotient

        moved = Cat(coming[-2:], remainder)
        first, second, third = (
            Signal(signed(NORMAL_BITS + 3), name=f"less_{times}") for times in (1, 2, 3)
        )
        m.d.comb += [
            first.eq(moved - Mux(rooting, Cat(C(1, 2), result), divisor)),
            second.eq(moved - (divisor << 1)),
            third.eq(moved - triple),
            self.done.eq(busy[-1]),
            self.result.eq(result),
        ]
        takes = [~less[-1] for less in (first, second, third)]
        upper = takes[1] & ~rooting
        digit, rest = Signal(2), Signal(NORMAL_BITS)
        m.d.comb += [
            digit.eq(Cat(Mux(upper, takes[2], takes[0]), upper)),
            rest.eq(Mux(upper, Mux(takes[2], third, second), Mux(takes[0], first, moved))),
        ]

        m.d.sync += [
            busy.eq(busy << 1), coming.eq(coming << 2), triple.eq(divisor + (divisor << 1))
        ]  # fmt: skip
        with m.If(self.start):
            m.d.sync += [
                busy.eq(Mux(self.root, 1, 1 << tripling)),
                rooting.eq(self.root),
                divisor.eq(self.divisor),
                # What a quotient of 33 bits would have for its upper 17 is zero, and leaves this.
                remainder.eq(Mux(self.root, 0, (1 << NORMAL_BITS - 1) - 1)),
                coming.eq(Mux(self.root, self.radicand, -1)),
                result.eq(0),
            ]
        with m.Elif(busy.any() & (rooting | ~busy[tripling])):
            m.d.sync += [
                remainder.eq(rest),
                result.eq(Mux(rooting, Cat(digit[0], result), Cat(digit, result))),
            ]
        return m
