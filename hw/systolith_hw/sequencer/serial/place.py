"""What the microprogram is at: slot, runtime register, loop, and instruction."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...config import Config
from ...isa import SLOT_BITS
from ..fetch import FetchShape
from .microcode import LAYOUT, Action

__all__ = ["Place"]


class Place(wiring.Component):
    """What the microprogram is at: slot, runtime register, loop, and instruction.

    Parameters
    ----------
    config : Config
        Uses ``sequencer.loop_depth`` and ``memory.program_instructions``.

    Members
    -------
    step : In
        The step under work.
    accepted : In(1)
        The slot on offer is taken.
    total, read : In(16)
        The accumulator, and what was read in the register memory.
    slot : Out(4), register : Out(4), level : Out
        In work; ``level`` counts open loops.
    index : Out(index_bits)
        Of the instruction, modulo four program memories.
    oldest : Out(index_bits)
        The same of the oldest one that is still needed: where the outermost loop begins.
    """

    step: Any
    accepted: Signal
    total: Signal
    read: Signal
    slot: Signal
    register: Signal
    level: Signal
    index: Signal
    oldest: Signal

    def __init__(self, config: Config) -> None:
        index_bits = FetchShape(config).index_bits
        super().__init__({
            "step": In(data.StructLayout(LAYOUT)),
            "accepted": In(1),
            "total": In(SLOT_BITS),
            "read": In(SLOT_BITS),
            "slot": Out(4),
            "register": Out(4),
            "level": Out(range(config.sequencer.loop_depth + 1)),
            "index": Out(index_bits),
            "oldest": Out(index_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        with m.Switch(self.step.action):
            with m.Case(Action.SLOT_CLEAR):
                m.d.sync += self.slot.eq(0)
            with m.Case(Action.SLOT_NEXT):
                m.d.sync += self.slot.eq(self.slot + 1)
            with m.Case(Action.OFFER):
                m.d.sync += self.slot.eq(self.slot + self.accepted)
            with m.Case(Action.PATCH_LOW):
                m.d.sync += Cat(self.slot, self.register).eq(self.read[:8])
            with m.Case(Action.PATCH_HIGH):
                m.d.sync += Cat(self.slot, self.register).eq(self.read[8:])
            with m.Case(Action.REGISTER):
                m.d.sync += self.register.eq(self.read)
            with m.Case(Action.LEVEL_UP):
                m.d.sync += self.level.eq(self.level + 1)
            with m.Case(Action.LEVEL_DOWN):
                m.d.sync += self.level.eq(self.level - 1)
            with m.Case(Action.LEVEL_CLEAR):
                m.d.sync += self.level.eq(0)
            with m.Case(Action.INDEX):
                m.d.sync += self.index.eq(self.total)
                with m.If(self.level == 0):
                    m.d.sync += self.oldest.eq(self.total)
        return m
