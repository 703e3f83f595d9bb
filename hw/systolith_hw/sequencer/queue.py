"""Instructions that wait in front of a unit."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..interfaces import descriptor
from ..isa import WORD_BITS, WORDS, Opcode
from ..stream.fifo import Fifo

__all__ = ["InstructionQueue"]


class InstructionQueue(wiring.Component):
    """Instructions that wait in front of a unit, and the assembly of the next one.

    ::

        i ──►[ Fifo of words ]──►[ assembly register of 4 words ]──► o

    The assembly register counts as one of the instructions. Bits that the unit doesn't look at
    cost nothing there.

    =========== ==========================================================
    Latency     3 cycles from the last word to ``o.valid``
    Throughput  an instruction in 5 cycles
    Stall       ``i.ready`` and ``o.valid`` come from registers
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``sequencer.queue_depth``, at least 2.
    *opcodes : Opcode
        The unit's instructions.

    Members
    -------
    i : In(stream of 64 bits)
        Four words for each instruction, lowest first.
    o : Out(stream of :func:`~systolith_hw.interfaces.descriptor`)
        Whole instructions.
    empty : Out(1)
        Not even a part of an instruction waits.
    """

    i: Any
    o: Any
    empty: Signal

    def __init__(self, config: Config, *opcodes: Opcode) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(WORD_BITS)),
            "o": Out(stream.Signature(descriptor(*opcodes))),
            "empty": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        depth = self.config.sequencer.queue_depth
        m.submodules.fifo = fifo = Fifo(WORD_BITS, (depth - 1) * WORDS)
        connect(m, flipped(self.i), fifo.i)
        words = fifo.o
        full = Signal()
        index = Signal(range(WORDS))
        instruction = Signal(WORDS * WORD_BITS, reset_less=True)
        m.d.comb += [
            words.ready.eq(~full),
            self.o.valid.eq(full),
            self.o.payload.eq(instruction),
            self.empty.eq(~full & (index == 0) & fifo.empty),
        ]
        with m.If(words.valid & words.ready):
            m.d.sync += [
                instruction.word_select(index, WORD_BITS).eq(words.payload),
                index.eq(index + 1),
                full.eq(index == WORDS - 1),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += full.eq(0)

        return m
