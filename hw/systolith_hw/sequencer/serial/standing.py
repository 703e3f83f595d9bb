"""The register in which an instruction stands while its unit works on it."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...config import Config
from ...interfaces import descriptor, issue_word
from ...isa import SLOT_BITS, SLOTS, Opcode

__all__ = ["StandingInstruction"]


class StandingInstruction(wiring.Component):
    """Where an instruction is assembled, and stands until its unit has done with it.

    Bits that the unit doesn't look at cost nothing here.

    =========== ==========================================================
    Latency     1 cycle from the last slot to ``o.valid``
    Throughput  1 slot per cycle
    Stall       ``i.ready`` and ``o.valid`` come from a register
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        One whose instructions stand (``sequencer.instructions_stand``).
    opcode : Opcode
        The unit's instruction.

    Members
    -------
    i : In(stream of :func:`~systolith_hw.interfaces.issue_word`)
        All slots of each instruction, the last one last.
    o : Out(stream of :func:`~systolith_hw.interfaces.descriptor`)
        Whole instructions.
    empty : Out(1)
        There is no whole instruction.
    """

    i: Any
    o: Any
    empty: Signal

    def __init__(self, config: Config, opcode: Opcode) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(issue_word(config))),
            "o": Out(stream.Signature(descriptor(opcode))),
            "empty": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        full = Signal()
        instruction = Signal(SLOTS * SLOT_BITS, reset_less=True)
        m.d.comb += [
            self.i.ready.eq(~full),
            self.o.valid.eq(full),
            self.o.payload.eq(instruction),
            self.empty.eq(~full),
        ]
        with m.If(self.o.ready):
            m.d.sync += full.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                instruction.word_select(self.i.p.slot, SLOT_BITS).eq(self.i.p.data),
                full.eq(self.i.p.slot == SLOTS - 1),
            ]
        return m
