"""Multiply three bits in each cycle, where a multiplier would be too dear."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import NORMAL_BITS

__all__ = ["SerialMultiplier"]

DIGIT_BITS = 3
CYCLES = NORMAL_BITS // DIGIT_BITS


class SerialMultiplier(wiring.Component):
    """Compute ``product = a * b``; all numbers are without sign.

    ``b`` leaves the lower half of the product's register, three bits in each cycle, while the
    product enters it from above.

    =========== =====================================================================
    Latency     7 cycles (:attr:`latency`) from ``start`` to ``product``; ``done`` is
                a cycle ahead of it
    Throughput  1 product in 7 cycles
    =========== =====================================================================

    Members
    -------
    start : In(1)
        Take the operands.
    a, b : In(18)
        Operands.
    done : Out(1)
        ``product`` is there in the next cycle, and stays until the next start.
    product : Out(36)
        The product.
    """

    latency = 1 + CYCLES

    start: Signal
    a: Signal
    b: Signal
    done: Signal
    product: Signal

    def __init__(self) -> None:
        super().__init__({
            "start": In(1),
            "a": In(NORMAL_BITS),
            "b": In(NORMAL_BITS),
            "done": Out(1),
            "product": Out(2 * NORMAL_BITS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        a = Signal(NORMAL_BITS, reset_less=True)
        product = Signal.like(self.product, reset_less=True)
        busy = Signal(CYCLES)
        m.d.comb += [self.done.eq(busy[-1]), self.product.eq(product)]
        m.d.sync += busy.eq(Cat(self.start, busy))
        lower, upper = product[:NORMAL_BITS], product[NORMAL_BITS:]
        more: Value = upper
        for bit in range(DIGIT_BITS):
            more = more + (Mux(lower[bit], a, 0) << bit)
        with m.If(self.start):
            m.d.sync += [a.eq(self.a), product.eq(self.b)]
        with m.Elif(busy.any()):
            m.d.sync += product.eq(Cat(lower[DIGIT_BITS:], more))
        return m
