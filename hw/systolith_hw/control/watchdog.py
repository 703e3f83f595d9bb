"""Stops a program that makes no progress."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Watchdog"]


class Watchdog(wiring.Component):
    """Reports ``limit`` cycles in a row in which nothing moved.

    =========== ==========================================================
    Latency     1 cycle from the last of the quiet cycles to ``fire``
    =========== ==========================================================

    Parameters
    ----------
    bits : int
        Width of the limit.

    Members
    -------
    run : In(1)
        A program is running.
    activity : In(1)
        Something moved in this cycle.
    limit : In(bits)
        Quiet cycles that are too many; 0 never fires.
    restart : In(1)
        Count from zero: the limit changed at the end of the cycle before.
    fire : Out(1)
        Strobe: ``limit`` quiet cycles have passed.
    """

    run: Signal
    activity: Signal
    limit: Signal
    restart: Signal
    fire: Signal

    def __init__(self, bits: int = 32) -> None:
        self.bits = bits
        super().__init__({
            "run": In(1),
            "activity": In(1),
            "limit": In(bits),
            "restart": In(1),
            "fire": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        left = Signal(self.bits)
        armed = Signal()
        count = Signal()
        m.d.comb += count.eq(self.run & ~self.activity & ~self.restart & armed)
        # One logic cell of an iCE40 per bit: the carry chain adds all ones or nothing.
        m.d.sync += [
            left.eq(Mux(count, left + count.replicate(self.bits), self.limit)),
            armed.eq(self.limit.any()),
            self.fire.eq(count & (left == 1)),
        ]

        return m
