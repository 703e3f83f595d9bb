"""Execute MATMUL: a stream of instructions becomes a stream of control words."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import unit_ports
from ..isa import SLOT_BITS, Opcode
from ..stream.spare import Spare
from .access import control_word
from .job import token
from .token_loop import TokenLoop
from .word_loop import WordLoop

__all__ = ["EVENTS", "Feeder"]

EVENTS = data.StructLayout({
    "busy": 1, "wait_semaphore": 1, "wait_output": 1, "wait_write": 1,
})  # fmt: skip
"""Strobes for the counters ARRAY_*."""


class Feeder(wiring.Component):
    """Execute MATMUL.

    ::

        instruction ──►[ TokenLoop ]── tokens ──►[ Spare ]──►[ WordLoop ]── words ──► control
                             │                                    │ ▲
                            wait                               post credits ◄── taken

    The spare token keeps one long path from going through both loops.

    =========== ==========================================================
    Latency     from accepting an instruction to offering its first word
                2 cycles (:attr:`latency`), if no semaphore is missing; from
                taking a missing semaphore to offering the word 1 cycle
    Throughput  1 control word per cycle without gaps between steps, tiles,
                tokens, groups and instructions, if ``control``, credits and
                semaphores let it; a one-word token that waits for two
                semaphores, or a one-word instruction, takes 2 cycles;
                where instructions stay in their queue
                (``sequencer.instructions_stand``) some cycles between two
    Stall       as :class:`TokenLoop` and :class:`WordLoop` say
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Depths and limits.

    Members
    -------
    instruction : In(stream of descriptor(Opcode.MATMUL))
        What to do.
    wait : Out(SemaphoreWait)
        Semaphores to take.
    post_inner, post_outer : Out(SemaphorePost)
        Semaphores to give.
    control : Out(stream of control_word(config))
        Words for the array's entry.
    number : In(16)
        What BEST or SAMPLE wrote last; only with ``array.numbered``.
    taken : In(1)
        A result has left the output FIFO.
    fault : Out(Fault)
        What went wrong.
    halt : In(1)
        Start nothing.
    idle : Out(1)
        Nothing is under way, and no result waits.
    events : Out(EVENTS)
        A cycle late.
    """

    latency = 2

    instruction: stream.Interface
    wait: Any
    post_inner: Any
    post_outer: Any
    control: stream.Interface
    number: Signal
    taken: Signal
    fault: Any
    halt: Signal
    idle: Signal
    events: data.View

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            **unit_ports(Opcode.MATMUL),
            "control": Out(stream.Signature(control_word(config))),
            **({"number": In(SLOT_BITS)} if config.array.numbered else {}),
            "taken": In(1),
            "events": Out(EVENTS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        m.submodules.tokens = tokens = TokenLoop(self.config)
        m.submodules.words = words = WordLoop(self.config)
        wiring.connect(m, wiring.flipped(self.instruction), tokens.instruction)
        wiring.connect(m, tokens.wait, wiring.flipped(self.wait))
        wiring.connect(m, words.fault, wiring.flipped(self.fault))
        m.submodules.spare = spare = Spare(token(self.config))
        wiring.connect(m, tokens.o, spare.i)
        wiring.connect(m, spare.o, words.i)
        wiring.connect(m, words.o, wiring.flipped(self.control))
        wiring.connect(m, words.post_inner, wiring.flipped(self.post_inner))
        wiring.connect(m, words.post_outer, wiring.flipped(self.post_outer))

        if self.config.array.numbered:
            m.d.comb += tokens.number.eq(self.number)
        starved = tokens.busy & ~words.busy & self.wait.valid & ~self.wait.ready
        m.d.comb += [
            tokens.halt.eq(self.halt),
            words.halt.eq(self.halt),
            words.taken.eq(self.taken),
            words.job.eq(tokens.job),
            tokens.drained.eq(~words.busy & tokens.o.ready),
            self.idle.eq(~tokens.busy & ~words.busy & words.drained),
        ]
        m.d.sync += [
            self.events.busy.eq(self.control.valid & self.control.ready),
            self.events.wait_semaphore.eq(starved),
            self.events.wait_output.eq(words.full),
            self.events.wait_write.eq(self.control.valid & ~self.control.ready),
        ]

        return m
