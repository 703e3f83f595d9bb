"""The microprogram's memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .microcode import ADDRESS_BITS, DISPATCH_BITS, LAYOUT, Action, assemble
from .program import DISPATCH, PROGRAM

__all__ = ["ControlStore"]


class ControlStore(wiring.Component):
    """The microprogram in block RAM, and the choice of the next step.

    An address follows from the step under work, with ``met`` as its lowest bit, so there is no
    counter. After a reset, and as long as it lasts, the step at address zero is under work.

    =========== ==========================================================
    Throughput  1 step per cycle
    =========== ==========================================================

    Members
    -------
    step : Out
        The step under work.
    met : In(1)
        Its condition is true.
    opcode : In(8)
        For :attr:`~.microcode.Action.DISPATCH`.
    """

    step: data.View
    met: Signal
    opcode: Signal

    def __init__(self) -> None:
        self.layout = data.StructLayout(LAYOUT)
        super().__init__({"step": Out(self.layout), "met": In(1), "opcode": In(8)})

    def elaborate(self, platform) -> Module:
        m = Module()
        words = assemble(PROGRAM, DISPATCH)
        attrs: dict[str, Any] = {"rom_style": "block"}
        rom: memory.Memory = memory.Memory(
            shape=self.layout.size, depth=len(words), init=words, attrs=attrs
        )
        m.submodules.rom = rom
        port = rom.read_port()

        awake = Signal()  # zero in a reset, and in the cycle after
        entry = Signal(DISPATCH_BITS)
        following = Signal(ADDRESS_BITS)
        m.d.sync += awake.eq(1)
        low, high = self.opcode[:4], self.opcode[4:]
        with m.If(high == 0):
            m.d.comb += entry.eq(Mux(low[3], 0, low[:3]))
        with m.Elif((low == 0) & ~high[3]):
            m.d.comb += entry.eq(Cat(high[:3], C(1, 1)))
        m.d.comb += [
            self.step.eq(port.data),
            following.eq(self.step.next | self.met),
            port.addr.eq(Mux(awake, following, 0)),
        ]
        with m.If(awake & (self.step.action == Action.DISPATCH)):
            m.d.comb += port.addr.eq(self.step.next | entry)
        return m
