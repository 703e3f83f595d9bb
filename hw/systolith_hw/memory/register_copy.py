"""A register of which there are several with the same input, each near those who look at it."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["COPY", "RegisterCopy"]

COPY = "copy"
"""Instances are submodules whose names begin with this word and an underscore."""


class RegisterCopy(wiring.Component):
    """Hold ``i`` of the cycle before.

    What reaches blocks all over a chip has a register for each part of it. Synthesis would make
    one of those again, since they are equal: so emitted Verilog keeps the hierarchy of this module
    (:func:`systolith_hw.verilog.component_verilog` goes by :data:`COPY`).

    Parameters
    ----------
    shape : ShapeLike
        What is held; it has no reset.

    Members
    -------
    i : In(shape)
        Any.
    o : Out(shape)
        The same, a cycle later.
    """

    i: Signal
    o: Signal

    def __init__(self, shape) -> None:
        super().__init__({"i": In(shape), "o": Out(shape)})

    def elaborate(self, platform) -> Module:
        m = Module()
        held = Signal.like(self.i, name="held", reset_less=True)
        m.d.sync += held.eq(self.i)
        m.d.comb += self.o.eq(held)
        return m
