"""The inner loops of MATMUL, over tiles and steps: one control word per cycle."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import PC_BITS, Fault, SemaphorePost
from ..isa import ErrorCode
from ..sequencer.permit import semaphore
from .access import control_word
from .token_loop import token

__all__ = ["WordLoop"]


def _work(config: Config) -> data.StructLayout:
    """Return the shape of the token under way: the current word and what the next ones need."""
    tile = range(config.memory.operand_tiles)
    word = range(config.memory.activation_words)
    members = token(config).members
    return data.StructLayout({
        "operand": tile,
        "operand_base": tile,  # first operand of the group
        "ring_base": tile,
        "ring_last": tile,
        "activation": word,
        "activation_base": word,  # first word of the token
        "steps": members["steps"],
        "steps_left": members["steps"],
        "tiles_left": members["tiles"],
        "step_first": 1,
        "step_last": 1,
        "tile_last": 1,
        "group_end": 1,
        "post_inner": semaphore(),
        "post_outer": semaphore(),
        "pc": PC_BITS,
        "zero_count": 1,
        "wrong": 1,
    })


class WordLoop(wiring.Component):
    """Turn tokens into control words: for each tile, all steps.

    Operand tiles follow one another, from ``ring_last`` on to ``ring_base``. Every token of a
    group begins at the group's first operand; a group begins behind the group before it.

    The first word of a result is offered only when the output FIFO has room for the result
    besides all those under way (credits), since nothing behind it can wait. A token that is
    wrong stays here for good, as a fault.

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
        The output FIFO alone keeps a word from being offered.
    """

    i: stream.Interface
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
        enter = Signal()
        finish = Signal()
        m.d.comb += [
            self.o.valid.eq(self.busy & ~work.wrong & ~self.full & ~self.halt),
            self.o.payload.last.eq(work.step_last),
            self.o.payload.operand.eq(work.operand),
            self.o.payload.activation.eq(work.activation),
            enter.eq(self.o.valid & self.o.ready),
            finish.eq(enter & work.step_last & work.tile_last),
            self.i.ready.eq(~self.busy | finish),
        ]
        self._elaborate_credits(m, work, enter)
        m.d.comb += [
            self.fault.valid.eq(self.busy & work.wrong),
            self.fault.pc.eq(work.pc),
            self.fault.code.eq(
                Mux(work.zero_count, ErrorCode.ZERO_COUNT.value, ErrorCode.ADDRESS_RANGE.value)
            ),
        ]

        m.d.sync += [
            self.post_inner.valid.eq(finish & work.post_inner.present),
            self.post_inner.id.eq(work.post_inner.id),
            self.post_outer.valid.eq(finish & work.group_end & work.post_outer.present),
            self.post_outer.id.eq(work.post_outer.id),
        ]
        with m.If(enter):
            self._elaborate_step(m, work, finish)
        with m.If(self.i.ready):
            m.d.sync += self.busy.eq(self.i.valid)
            self._elaborate_load(m, work)

        return m

    def _elaborate_credits(self, m: Module, work: Any, enter: Value) -> None:
        """Count the results that may still be begun.

        The count is kept one lower, so that its sign alone says that there is no room.
        """
        most = self.config.array.output_depth - 1
        credits = Signal(range(-1, most + 1), init=most)
        m.d.sync += credits.eq(credits - (enter & work.step_first) + self.taken)
        m.d.comb += [
            self.full.eq(self.busy & work.step_first & credits[-1]),
            self.drained.eq(credits == most),
        ]

    def _elaborate_step(self, m: Module, work: Any, finish: Value) -> None:
        """Go on to the next step, tile or token."""
        following = Mux(work.operand == work.ring_last, work.ring_base, work.operand + 1)
        m.d.sync += [
            work.operand.eq(following),
            work.activation.eq(work.activation + 1),
            work.steps_left.eq(work.steps_left - 1),
            work.step_first.eq(work.step_last),
            work.step_last.eq(work.steps_left == 2),
        ]
        with m.If(work.step_last):
            m.d.sync += [
                work.activation.eq(work.activation_base),
                work.steps_left.eq(work.steps),
                work.step_last.eq(work.steps == 1),
                work.tiles_left.eq(work.tiles_left - 1),
                work.tile_last.eq(work.tiles_left == 2),
            ]
        with m.If(finish):
            with m.If(work.group_end):
                m.d.sync += work.operand_base.eq(following)
            with m.Else():
                m.d.sync += work.operand.eq(work.operand_base)

    def _elaborate_load(self, m: Module, work: Any) -> None:
        """Begin with the token that is offered, if there is one."""
        offered = self.i.payload
        m.d.sync += [
            work.ring_base.eq(offered.ring_base),
            work.ring_last.eq(offered.ring_last),
            work.activation.eq(offered.activation),
            work.activation_base.eq(offered.activation),
            work.steps.eq(offered.steps),
            work.steps_left.eq(offered.steps),
            work.tiles_left.eq(offered.tiles),
            work.step_first.eq(1),
            work.step_last.eq(offered.steps == 1),
            work.tile_last.eq(offered.tiles == 1),
            work.group_end.eq(offered.group_end),
            work.post_inner.eq(offered.post_inner),
            work.post_outer.eq(offered.post_outer),
            work.pc.eq(offered.pc),
            work.zero_count.eq(offered.zero_count),
            work.wrong.eq(offered.zero_count | offered.out_of_range),
        ]
        with m.If(offered.start):
            m.d.sync += [
                work.operand.eq(offered.operand),
                work.operand_base.eq(offered.operand),
            ]
