"""The register in which an instruction stands while its unit works on it."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...config import Config
from ...interfaces import SLOT_ORDER, descriptor, issue_word
from ...isa import SLOT_BITS, SLOTS, Opcode
from ...limits import slot_limits

__all__ = ["StandingInstruction"]


class StandingInstruction(wiring.Component):
    """Where an instruction is assembled, and stands until its unit has done with it.

    Bits that the unit doesn't look at cost nothing here, nor do those beyond a limit
    (:mod:`systolith_hw.limits`): an instruction that has such is refused.

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
        All slots of each instruction, in the order of
        :data:`~systolith_hw.interfaces.SLOT_ORDER`.
    o : Out(stream of :func:`~systolith_hw.interfaces.descriptor`)
        Whole instructions.
    empty : Out(1)
        There is no whole instruction.
    refused : Out(1)
        An instruction was beyond limits, and not offered: its unit's error ADDRESS_RANGE.
    """

    i: Any
    o: Any
    empty: Signal
    refused: Signal

    def __init__(self, config: Config, opcode: Opcode) -> None:
        self.config = config
        self.opcode = opcode
        super().__init__({
            "i": In(stream.Signature(issue_word(config))),
            "o": Out(stream.Signature(descriptor(opcode))),
            "empty": Out(1),
            "refused": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        full = Signal()
        beyond = Signal()  # a slot before the last one was
        first, last = (self.i.p.slot == slot for slot in SLOT_ORDER[:: SLOTS - 1])
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
                # The first slot has no limit, nor is it compared with one.
                beyond.eq(~first & (beyond | self.i.p.beyond)),
                full.eq(last & ~(beyond | self.i.p.beyond)),
                self.refused.eq(self.refused | (last & (beyond | self.i.p.beyond))),
            ]
            with m.Switch(self.i.p.slot):
                for slot, limit in enumerate(slot_limits(self.config, self.opcode)):
                    with m.Case(slot):
                        m.d.sync += instruction.word_select(slot, SLOT_BITS).eq(
                            self.i.p.data & limit
                        )
        return m
