"""The inner loops of MATMUL, over tiles and steps: one control word per cycle."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import Fault, SemaphorePost
from ..isa import ErrorCode
from .access import control_word
from .credits import count_results, keep_apart
from .job import job, token

__all__ = ["WordLoop"]


def _work(config: Config) -> data.StructLayout:
    """Return the shape of the token under way: the current word and what the next ones need."""
    job_members, token_members = job(config).members, token(config).members
    return data.StructLayout({
        "operand": job_members["operand"],
        "tile_base": job_members["operand"],  # first operand of the output tile
        "operand_base": job_members["operand"],  # first operand of the group
        "activation": token_members["activation"],
        "activation_base": token_members["activation"],  # first word of the token
        "steps_left": token_members["steps"],
        "tiles_left": token_members["tiles"],
        "step_first": 1,
        "step_last": 1,
        "tile_last": 1,
        "group_end": 1,
        "zero_count": 1,
        "wrong": 1,
    })


class WordLoop(wiring.Component):
    """Turn tokens into control words: for each tile, all steps.

    Operand tiles follow one another, but for those of two output tiles if there is a stride, and
    ``ring_base`` follows the last before ``ring_end``. Every token of a group begins at the group's
    first operand; a group begins behind the group before it.

    The first word of a result is offered only when the output FIFO has room for the result
    besides all those under way (credits), since nothing behind it can wait. The last words of
    two results are C/L cycles apart, since that is what the beats of a result take. A token that
    is wrong stays here for good, as a fault.

    =========== ==========================================================
    Latency     a token's first word is offered 1 cycle after the token was
                accepted; a semaphore is posted 1 cycle after the last
                word it guards was accepted
    Throughput  1 word per cycle, also from token to token
    Stall       ``i.ready`` comes combinationally from ``o.ready``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Depths and limits.

    Members
    -------
    i : In(stream of token(config))
        Tokens.
    job : In(job(config))
        What a token with ``start`` belongs to; taken with it, unless it stays.
    o : Out(stream of control_word(config))
        Words for the array's entry. ``halt`` alone takes an offer back.
    post_inner, post_outer : Out(SemaphorePost)
        After each token, and after each token with ``group_end``.
    fault : Out(Fault)
        ZERO_COUNT or ADDRESS_RANGE; nothing happens after it.
    taken : In(1)
        A result has left the output FIFO.
    halt : In(1)
        Offer nothing.
    busy : Out(1)
        There is a token with words left.
    drained : Out(1)
        All results of accepted words have left the output FIFO.
    full : Out(1)
        Room for results alone keeps a word from being offered.
    """

    i: stream.Interface
    job: data.View
    o: stream.Interface
    post_inner: Any
    post_outer: Any
    fault: Any
    taken: Signal
    halt: Signal
    busy: Signal
    drained: Signal
    full: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(token(config))),
            "job": In(job(config)),
            "o": Out(stream.Signature(control_word(config))),
            "post_inner": Out(SemaphorePost()),
            "post_outer": Out(SemaphorePost()),
            "fault": Out(Fault()),
            "taken": In(1),
            "halt": In(1),
            "busy": Out(1),
            "drained": Out(1),
            "full": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        work: Any = Signal(_work(self.config), reset_less=True)
        now = self._job(m)
        enter = Signal()
        finish = Signal()
        leaves = Signal()  # what enters is the token's last word, or there is no token
        m.d.comb += [
            leaves.eq(~self.busy | (work.step_last & work.tile_last)),
            self.o.valid.eq(self.busy & ~work.wrong & ~self.full & ~self.halt),
            self.o.payload.last.eq(work.step_last),
            self.o.payload.operand.eq(work.operand),
            self.o.payload.activation.eq(work.activation),
            enter.eq(self.o.valid & self.o.ready),
            finish.eq(enter & work.step_last & work.tile_last),
            self.i.ready.eq(~self.busy | finish),
        ]
        self._elaborate_room(m, work, enter)
        m.d.comb += [
            self.fault.valid.eq(self.busy & work.wrong),
            self.fault.pc.eq(now.pc),
            self.fault.code.eq(
                Mux(work.zero_count, ErrorCode.ZERO_COUNT.value, ErrorCode.ADDRESS_RANGE.value)
            ),
        ]

        m.d.sync += [
            self.post_inner.valid.eq(finish & now.post_inner.present),
            self.post_outer.valid.eq(finish & work.group_end & now.post_outer.present),
        ]
        # An instruction that stays is there for one more cycle.
        with_post = m.d.comb if self.config.sequencer.instructions_stand else m.d.sync
        with_post += [
            self.post_inner.id.eq(now.post_inner.id), self.post_outer.id.eq(now.post_outer.id)
        ]  # fmt: skip
        with m.If(self.i.ready):
            m.d.sync += self.busy.eq(self.i.valid)
        # Whether a word enters comes late: what is chosen here is of no use without one.
        self._elaborate_counts(m, work, now, enter, leaves)
        self._elaborate_addresses(m, work, now, enter, leaves)

        return m

    def _job(self, m: Module) -> Any:
        """Return the job of the token under way."""
        if self.config.sequencer.instructions_stand:
            return self.job
        now = Signal.like(self.job, reset_less=True)
        with m.If(self.i.ready & self.i.payload.start):
            m.d.sync += now.eq(self.job)
        return now

    def _elaborate_room(self, m: Module, work: Any, enter: Value) -> None:
        """Say for what there is no room: a result that begins, or one that ends."""
        begun, ended = enter & work.step_first, enter & work.step_last
        none, drained = count_results(m, self.config, begun, self.taken)
        collides = keep_apart(m, self.config, ended)
        m.d.comb += [
            self.full.eq(
                self.busy & ((work.step_first & none) | (work.step_last & collides))
            ),
            self.drained.eq(drained),
        ]

    def _elaborate_counts(
        self, m: Module, work: Any, now: Any, enter: Value, leaves: Value
    ) -> None:
        """Count steps and tiles; take what else there is to know of a token."""
        offered, load = self.i.payload, self.i.ready
        steps = Mux(leaves, offered.steps, now.steps)
        restart = leaves | work.step_last
        with m.If(load | enter):
            m.d.sync += [
                work.steps_left.eq(Mux(restart, steps, work.steps_left - 1)),
                work.step_first.eq(restart),
                work.step_last.eq(Mux(restart, steps == 1, work.steps_left == 2)),
            ]
        with m.If(load | (enter & work.step_last)):
            m.d.sync += [
                work.tiles_left.eq(Mux(leaves, offered.tiles, work.tiles_left - 1)),
                work.tile_last.eq(Mux(leaves, offered.tiles == 1, work.tiles_left == 2)),
            ]
        with m.If(load):
            m.d.sync += [
                work.group_end.eq(offered.group_end),
                work.zero_count.eq(offered.zero_count),
                work.wrong.eq(offered.zero_count | offered.out_of_range),
            ]

    def _elaborate_addresses(
        self, m: Module, work: Any, now: Any, enter: Value, leaves: Value
    ) -> None:
        """Go on to the next step, tile or token."""
        offered, load = self.i.payload, self.i.ready
        with m.If(load | enter):
            m.d.sync += work.activation.eq(
                Mux(leaves, offered.activation,
                    Mux(work.step_last, work.activation_base, work.activation + 1))
            )  # fmt: skip
        with m.If(load):
            m.d.sync += work.activation_base.eq(offered.activation)

        following = Mux(
            work.operand == now.ring_last, now.ring_base, (work.operand + 1)[: len(work.operand)]
        )
        moved = Mux(
            work.tile_base >= now.stride_room,
            work.tile_base + now.stride_back, work.tile_base + now.operand_stride,
        )  # fmt: skip
        start = leaves & offered.start
        again = leaves & ~work.group_end
        # What comes from near goes by what comes from far.
        known, operand = Signal(), Signal.like(work.operand)
        m.d.comb += [
            known.eq(start | again | (work.step_last & now.strided)),
            operand.eq(Mux(
                known, Mux(start, self.job.operand, Mux(again, work.operand_base, moved)), following
            )),
        ]  # fmt: skip
        starts = load & offered.start
        with m.If(starts | enter):
            m.d.sync += work.operand.eq(operand)
        with m.If(starts | (enter & work.step_last)):
            m.d.sync += work.tile_base.eq(operand)
        with m.If(starts | (enter & leaves & work.group_end)):
            m.d.sync += work.operand_base.eq(operand)
