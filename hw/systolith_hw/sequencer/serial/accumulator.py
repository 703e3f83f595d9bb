"""The adder of the microprogram, and what it adds to."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...isa import SLOT_BITS
from .microcode import LAYOUT, Carry, Operand, Source

__all__ = ["Accumulator"]


class Accumulator(wiring.Component):
    """The adder of the microprogram, and what it adds to.

    Each of its two operands depends on two bits besides those of the step, so that an iCE40 needs
    three logic cells for each bit.

    Members
    -------
    step : In
        The step under work.
    program, read : In(16)
        What was read in the program memory, and in the register memory.
    total : Out(16), carry : Out(1)
        The accumulator, and the carry of what it was loaded with.
    """

    step: Any
    program: Signal
    read: Signal
    total: Signal
    carry: Signal

    def __init__(self) -> None:
        super().__init__({
            "step": In(data.StructLayout(LAYOUT)),
            "program": In(SLOT_BITS),
            "read": In(SLOT_BITS),
            "total": Out(SLOT_BITS),
            "carry": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        step = self.step
        first = Signal(SLOT_BITS)
        second = Signal(SLOT_BITS)
        half = step.operand == Operand.HALF
        kept = self.carry & (step.carry == Carry.KEPT)
        with m.Switch(step.source):
            with m.Case(Source.KEPT):
                m.d.comb += first.eq(self.total)
            with m.Case(Source.PROGRAM):
                m.d.comb += first.eq(self.program)
            with m.Case(Source.MINUS):
                m.d.comb += first.eq(~self.total)
        with m.Switch(step.operand):
            with m.Case(Operand.READ):
                m.d.comb += second.eq(self.read)
            with m.Case(Operand.HALF):
                m.d.comb += second.eq(Cat(self.read[1:], kept))
            with m.Case(Operand.ONES):
                m.d.comb += second.eq(~0)
        added = Signal(SLOT_BITS + 1)
        carry = Signal()
        m.d.comb += [
            carry.eq((step.carry == Carry.ONE) | (kept & ~half)),
            added.eq(first + second + carry),
        ]
        with m.If(step.load):
            m.d.sync += [self.total.eq(added), self.carry.eq(Mux(half, self.read[0], added[-1]))]
        return m
