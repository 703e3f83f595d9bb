"""Multiply three or more bits in each cycle, where a multiplier would be too dear."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import NORMAL_BITS

__all__ = ["SerialMultiplier"]

LEAST = 3


class SerialMultiplier(wiring.Component):
    """Compute ``product = a * b``; all numbers are without sign.

    ``b`` leaves the lower half of the product's register, some bits in each cycle, while the
    product enters it from above.

    =========== =====================================================================
    Latency     with 3 bits 7 cycles (:attr:`latency`) from ``start`` to ``product``;
                ``done`` is a cycle ahead of it
    Throughput  1 product in that time
    =========== =====================================================================

    Parameters
    ----------
    bits : int
        In each cycle: 3, 6, 9 or 18.

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

    start: Signal
    a: Signal
    b: Signal
    done: Signal
    product: Signal

    def __init__(self, bits: int = LEAST) -> None:
        self.bits = bits
        super().__init__({
            "start": In(1),
            "a": In(NORMAL_BITS),
            "b": In(NORMAL_BITS),
            "done": Out(1),
            "product": Out(2 * NORMAL_BITS),
        })

    @property
    def latency(self) -> int:
        """Cycles from ``start`` to ``product``."""
        return 1 + NORMAL_BITS // self.bits

    def elaborate(self, platform) -> Module:
        m = Module()
        a = Signal(NORMAL_BITS, reset_less=True)
        product = Signal.like(self.product, reset_less=True)
        busy = Signal(self.latency - 1)
        m.d.comb += [self.done.eq(busy[-1]), self.product.eq(product)]
        m.d.sync += busy.eq(Cat(self.start, busy))
        lower, upper = product[:NORMAL_BITS], product[NORMAL_BITS:]
        more: Value = upper
        for bit in range(self.bits):
            more = more + (Mux(lower[bit], a, 0) << bit)
        with m.If(self.start):
            m.d.sync += [a.eq(self.a), product.eq(self.b)]
        with m.Elif(busy.any()):
            m.d.sync += product.eq(Cat(lower[self.bits :], more))
        return m
