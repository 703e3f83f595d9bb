"""The outer loops of MATMUL, over groups and tokens, and the semaphores they wait for."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import SemaphoreWait, descriptor
from ..isa import SLOT_BITS, Opcode
from ..sequencer.permit import Permit
from .check import check_instruction
from .job import job, job_of, strides_of, token

__all__ = ["TokenLoop"]


class TokenLoop(wiring.Component):
    """Check MATMULs and take them apart into tokens, each when its semaphores are there.

    While one token is under way below, this loop already waits for the next, also across the
    border of two instructions. An instruction is checked while it is offered; one that is wrong
    waits for nothing, and its first token says what is wrong. So does any token whose words
    would leave the activation memory.

    =========== ==========================================================
    Latency     an instruction begins 1 cycle after it is offered, at the
                earliest; its first token is offered in the cycle after
                that, or when the token's last semaphore is taken
    Throughput  1 token per cycle; with two semaphores to wait for, 1 in 2;
                1 instruction in 2 cycles
    Stall       ``o.valid`` comes combinationally from ``wait.ready``
    =========== ==========================================================

    An instruction is accepted as it begins. Where it stays in its queue
    (``sequencer.instructions_stand``), it is accepted 1 cycle after ``drained`` at its end, and
    the next begins 2 cycles later.

    Parameters
    ----------
    config : Config
        Depths and limits that the instruction is held against.

    Members
    -------
    instruction : In(stream of descriptor(Opcode.MATMUL))
        What to do.
    wait : Out(SemaphoreWait)
        Semaphores to take.
    o : Out(stream of token(config))
        Tokens of all groups, in order.
    job : Out(job(config))
        What the last token offered belongs to.
    drained : In(1)
        No token is under way below; with one that starts a job, this one waits for the next.
    number : In(16)
        What BEST or SAMPLE wrote last; only with ``array.numbered``. There from the cycle before
        the semaphore is that tells of it.
    halt : In(1)
        Accept nothing.
    busy : Out(1)
        There is an instruction with tokens left.
    """

    instruction: stream.Interface
    wait: Any
    o: stream.Interface
    job: data.View
    drained: Signal
    number: Signal
    halt: Signal
    busy: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "instruction": In(stream.Signature(descriptor(Opcode.MATMUL))),
            "wait": Out(SemaphoreWait()),
            "o": Out(stream.Signature(token(config))),
            "job": Out(job(config)),
            "drained": In(1),
            **({"number": In(SLOT_BITS)} if config.array.numbered else {}),
            "halt": In(1),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        m.submodules.permit = permit = Permit()
        wiring.connect(m, permit.wait, wiring.flipped(self.wait))

        work: Any = Signal(_work(self.config), reset_less=True)
        begin = Signal()
        advance = Signal()
        final = Signal()
        # One bit more than an address has, for those beyond the memory.
        activation = Signal.like(work.activation)
        m.d.comb += [
            final.eq(work.group_end & work.group_last),
            advance.eq(self.o.valid & self.o.ready),
            self.o.valid.eq(self.busy & permit.granted),
            self.o.payload.start.eq(work.start),
            self.o.payload.group_end.eq(work.group_end),
            self.o.payload.activation.eq(activation),
            self.o.payload.steps.eq(self.job.steps),
            self.o.payload.tiles.eq(Mux(work.group_last, self.job.tiles_last, self.job.tiles)),
            self.o.payload.zero_count.eq(work.zero_count),
            self.o.payload.out_of_range.eq(
                work.out_of_range
                | (activation + self.job.steps > self.config.memory.activation_words)
            ),
        ]
        coming = self._elaborate_accept(m, begin, free=~self.busy | (advance & final & ~work.start))
        m.d.comb += activation.eq(self._add_number(m, work.activation, begin, coming))
        offered = self.instruction.payload
        wrong = check_instruction(
            m, self.config, offered,
            offered.ring_base >= offered.ring_end, offered.operand >= offered.ring_end,
            offered.operand_stride + offered.ring_base > offered.ring_end,
        )  # fmt: skip
        inner = Mux(begin, coming.wait_inner, self.job.wait_inner)
        outer = Mux(begin, coming.wait_outer, self.job.wait_outer)
        m.d.comb += [
            permit.begin.eq(begin | (advance & ~final)),
            permit.inner.eq(Mux(begin & wrong.any(), 0, inner)),
            permit.outer.eq(Mux(Mux(begin, wrong.any(), ~work.group_end), 0, outer)),
        ]
        self._elaborate_work(m, work, advance, coming)
        with m.If(begin):
            m.d.sync += [work.zero_count.eq(wrong[0]), work.out_of_range.eq(wrong[1])]
        with m.If(begin | advance):
            m.d.sync += [self.busy.eq(begin | ~final), work.start.eq(begin)]

        return m

    def _elaborate_accept(self, m: Module, begin: Signal, free: Value) -> Any:
        """Begin with an instruction that was checked; return the job that is offered."""
        checked = Signal()
        strides = {}
        for name, value in strides_of(self.config, self.instruction.payload).items():
            strides[name] = Signal.like(value, name=name, reset_less=True)
            m.d.sync += strides[name].eq(value)
        coming: Any = Signal(job(self.config))
        m.d.sync += checked.eq(self.instruction.valid & ~self.instruction.ready & ~begin)
        m.d.comb += coming.as_value().eq(
            job_of(self.config, self.instruction.payload, strides)
        )
        if self.config.sequencer.instructions_stand:
            begun = Signal()
            m.d.comb += [
                begin.eq(checked & ~begun & ~self.halt),
                self.instruction.ready.eq(begun & ~self.busy & self.drained & ~self.halt),
                self.job.eq(coming),
            ]
            m.d.sync += begun.eq((begun | begin) & ~self.instruction.ready)
            return coming
        # The job is latched below with its first token, which has left the spare by then.
        latched: Any = Signal(job(self.config), reset_less=True)
        m.d.comb += [
            self.job.eq(latched),
            begin.eq(checked & free & self.o.ready & ~self.halt),
            self.instruction.ready.eq(begin),
        ]
        with m.If(begin):
            m.d.sync += latched.eq(coming)
        return coming

    def _add_number(self, m: Module, activation: Value, begin: Value, coming: Any) -> Value:
        """Return the address of a token's words, those of the number in front counted, too."""
        if not self.config.array.numbered:
            return activation
        numbered = Mux(begin, coming.numbered, self.job.numbered)
        doubled = self.number << numbered
        words = Signal(len(doubled), reset_less=True)
        m.d.sync += words.eq(Mux(numbered.any(), doubled >> 1, 0))
        total = activation + words
        beyond = total[len(activation) - 1 :].any()
        return Cat(total[: len(activation) - 1], beyond)

    def _elaborate_work(self, m: Module, work: Any, advance: Value, coming: Any) -> None:
        """Go on to the next token, or to the first of the next group or instruction."""
        current = self.job
        moved = work.activation[:-1] + current.stride
        # Whether a token leaves is known late, so it does not choose: what comes behind the last
        # one of an instruction is the next one's first, or of no use.
        anew = ~self.busy | work.group_last
        with m.If(~self.busy | (advance & work.group_end)):
            m.d.sync += [
                work.activation.eq(Mux(anew, coming.activation, current.activation)),
                work.tokens_left.eq(Mux(anew, coming.tokens, current.tokens)),
                work.group_end.eq(Mux(anew, coming.tokens == 1, current.tokens == 1)),
                work.groups_left.eq(Mux(anew, coming.groups, work.groups_left - 1)),
                work.group_last.eq(Mux(anew, coming.groups == 1, work.groups_left == 2)),
            ]
        with m.Elif(advance):
            m.d.sync += [
                work.activation.eq(Cat(moved[:-1], moved[-1] | current.stride_overflow)),
                work.tokens_left.eq(work.tokens_left - 1),
                work.group_end.eq(work.tokens_left == 2),
            ]


def _work(config: Config) -> data.StructLayout:
    """Return the shape of the place that the loops are at."""
    members = job(config).members
    return data.StructLayout({
        "start": 1,
        # One bit more than an address has, for those beyond the memory.
        "activation": job(config)["activation"].width + 1,
        "tokens_left": members["tokens"],
        "group_end": 1,
        "groups_left": members["groups"],
        "group_last": 1,
        "zero_count": 1,
        "out_of_range": 1,
    })
