"""Divide, two bits of the quotient in a step, and take roots, one bit in a step."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import NORMAL_BITS, SCALE_BITS

__all__ = ["RADICAND_BITS", "DigitRecurrence"]

RADICAND_BITS = 2 * SCALE_BITS


class DigitRecurrence(wiring.Component):
    """Compute ``(2**33 - 1) // divisor`` or ``isqrt(radicand)``: 16 bits either way.

    In each step the remainder moves two bits to the left, two more of the number coming in from
    below, and what the next digit of the result would take off is tried, all digits side by side::

        quotient   4 * remainder + 3           - divisor, 2 * divisor, 3 * divisor
        root       4 * remainder + two bits    - (4 * result + 1)

    =========== =========================================================================
    Latency     with a step in each cycle 10 cycles from ``start`` to a quotient
                (:attr:`latency`), 17 to a root (:attr:`root_latency`); ``done`` is a cycle
                ahead of either
    Throughput  1 result in that time
    Golden      :func:`systolith_sim.vector.row.invert`, :func:`math.isqrt`
    =========== =========================================================================

    Parameters
    ----------
    steps : int
        In each cycle, one behind the other: 1, 2, 4 or 8.

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

    start: Signal
    root: Signal
    divisor: Signal
    radicand: Signal
    done: Signal
    result: Signal

    def __init__(self, steps: int = 1) -> None:
        self.steps = steps
        super().__init__({
            "start": In(1),
            "root": In(1),
            "divisor": In(NORMAL_BITS),
            "radicand": In(RADICAND_BITS),
            "done": Out(1),
            "result": Out(SCALE_BITS),
        })

    @property
    def latency(self) -> int:
        """Cycles from ``start`` to a quotient."""
        return 2 + SCALE_BITS // 2 // self.steps

    @property
    def root_latency(self) -> int:
        """Cycles from ``start`` to a root."""
        return 1 + SCALE_BITS // self.steps

    def elaborate(self, platform) -> Module:
        m = Module()
        remainder = Signal(NORMAL_BITS, reset_less=True)
        divisor = Signal(NORMAL_BITS, reset_less=True)
        triple = Signal(NORMAL_BITS + 2, reset_less=True)
        coming = Signal(RADICAND_BITS, reset_less=True)
        result = Signal.like(self.result, reset_less=True)
        rooting = Signal(reset_less=True)
        busy = Signal(SCALE_BITS // self.steps)  # its one moves to the end
        tripling = SCALE_BITS // 2 // self.steps - 1  # where it begins for a quotient
        m.d.comb += [self.done.eq(busy[-1]), self.result.eq(result)]

        rest, found = remainder, result
        for step in range(self.steps):
            bits = coming[RADICAND_BITS - 2 * step - 2 :][:2]
            rest, found = self._step(m, step, Cat(bits, rest), found, divisor, triple, rooting)

        m.d.sync += [
            busy.eq(busy << 1), coming.eq(coming << 2 * self.steps),
            triple.eq(divisor + (divisor << 1)),
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
            m.d.sync += [remainder.eq(rest), result.eq(found)]
        return m

    def _step(
        self, m: Module, step: int, moved: Value, result: Value, divisor: Value, triple: Value,
        rooting: Value,
    ) -> tuple[Signal, Signal]:  # fmt: skip
        """Return remainder and result with a digit more; the remainder has ``moved``."""
        first, second, third = (
            Signal(signed(NORMAL_BITS + 3), name=f"less_{times}_{step}") for times in (1, 2, 3)
        )
        m.d.comb += [
            first.eq(moved - Mux(rooting, Cat(C(1, 2), result), divisor)),
            second.eq(moved - (divisor << 1)),
            third.eq(moved - triple),
        ]
        takes = [~less[-1] for less in (first, second, third)]
        upper = takes[1] & ~rooting
        digit = Signal(2, name=f"digit_{step}")
        rest = Signal(NORMAL_BITS, name=f"rest_{step}")
        found = Signal(SCALE_BITS, name=f"found_{step}")
        m.d.comb += [
            digit.eq(Cat(Mux(upper, takes[2], takes[0]), upper)),
            rest.eq(Mux(upper, Mux(takes[2], third, second), Mux(takes[0], first, moved))),
            found.eq(Mux(rooting, Cat(digit[0], result), Cat(digit, result))),
        ]
        return rest, found
