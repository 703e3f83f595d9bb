"""Execute MATMUL where there are few logic cells."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import unit_ports
from ..isa import ErrorCode, Opcode
from ..sequencer.permit import Permit
from .access import control_word
from .check import check_instruction
from .credits import count_results, keep_apart
from .feeder import EVENTS
from .job import job, job_of

__all__ = ["ShortFeeder"]


class State(enum.Enum, shape=3):
    """What is done: nothing, look at an instruction's ring and at its first operand, wait for a
    token's semaphores, let its words go, go on to the next tile, token or group."""

    IDLE = 0
    RING = 1
    CHECK = 2
    WAIT = 3
    WORDS = 4
    NEXT = 5


class ShortFeeder(wiring.Component):
    """Do what :class:`.feeder.Feeder` does, with all loops in one place, one after the other.

    ::

        IDLE ──► RING ──► CHECK ──► WAIT ──► WORDS ──► NEXT ──► IDLE
                                      ▲        ▲         │
                                      └ token ─┴─ tile ──┘

    The one comparison with the ring's end is that of the operand in work, so ``ring_base`` and the
    first operand have a cycle each in its place. The instruction stays in its queue until its last
    word has entered. What is wrong with it, or with a token, becomes a fault in WAIT, and that is
    where it ends.

    =========== ==========================================================
    Latency     an instruction's first word is offered 4 cycles after the
                instruction (:attr:`latency`), if no semaphore is missing
    Throughput  1 word per cycle; 1 cycle between two tiles, 2 between two
                tokens, 5 between two instructions, 1 at the ring's end
    Stall       ``control.valid`` does not depend on ``control.ready``; ``fault.valid`` is a
                register
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Depths and limits; one whose instructions stand.

    Members
    -------
    instruction, wait, post_inner, post_outer, control, taken, fault, halt, idle, events
        As in :class:`.feeder.Feeder`.
    """

    latency = 4

    instruction: stream.Interface
    wait: Any
    post_inner: Any
    post_outer: Any
    control: stream.Interface
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
            "taken": In(1),
            "events": Out(EVENTS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        now: Any = Signal(job(self.config))
        m.d.comb += now.as_value().eq(job_of(self.config, self.instruction.payload))
        state = Signal(State)
        place: Any = Signal(_place(self.config), reset_less=True)
        begin, enter, word_last, beyond = Signal(), Signal(), Signal(), Signal()
        tile_last, token_last, group_last = Signal(), Signal(), Signal()
        token_end, group_end, end = Signal(), Signal(), Signal()
        m.d.comb += [
            begin.eq(state == State.CHECK),
            enter.eq(self.control.valid & self.control.ready),
            beyond.eq(place.operand >= self.instruction.payload.ring_end[: len(place.operand)]),
            word_last.eq(place.step == now.steps),
            tile_last.eq(place.tile == Mux(group_last, now.tiles_last, now.tiles)),
            token_last.eq(place.token == now.tokens),
            group_last.eq(place.group == now.groups),
            token_end.eq((state == State.NEXT) & tile_last & ~self.halt),
            group_end.eq(token_end & token_last),
            end.eq(group_end & group_last),
            self.instruction.ready.eq(end),
            self.post_inner.valid.eq(token_end & now.post_inner.present),
            self.post_inner.id.eq(now.post_inner.id),
            self.post_outer.valid.eq(group_end & now.post_outer.present),
            self.post_outer.id.eq(now.post_outer.id),
        ]
        wrong = self._elaborate_check(m, state, place, beyond)
        permitted = self._elaborate_wait(m, state, now, wrong, token_end & ~end, token_last)
        self._elaborate_offer(m, state, place, beyond, word_last, enter)
        self._elaborate_counts(m, state, place, begin, enter, token_end, group_end)
        self._elaborate_addresses(m, state, now, place, beyond, enter, token_end, group_end)
        with m.Switch(state):
            with m.Case(State.IDLE):
                with m.If(self.instruction.valid & ~self.halt):
                    m.d.sync += state.eq(State.RING)
            with m.Case(State.RING):
                m.d.sync += state.eq(State.CHECK)
            with m.Case(State.CHECK):
                m.d.sync += state.eq(State.WAIT)
            with m.Case(State.WAIT):
                with m.If(permitted):
                    m.d.sync += state.eq(State.WORDS)
            with m.Case(State.WORDS):
                with m.If(enter & word_last):
                    m.d.sync += state.eq(State.NEXT)
            with m.Case(State.NEXT):
                with m.If(end):
                    m.d.sync += state.eq(State.IDLE)
                with m.Elif(token_end):
                    m.d.sync += state.eq(State.WAIT)
                with m.Elif(~self.halt):
                    m.d.sync += state.eq(State.WORDS)
        return m

    def _elaborate_check(self, m: Module, state: Signal, place: Any, beyond: Value) -> Value:
        """Return whether there is a zero count, an address out of range, and one of the token."""
        offered = self.instruction.payload
        bits = len(place.operand)
        zero_count, out_of_range = check_instruction(
            m, self.config, offered, offered.ring_base[bits:].any(), offered.operand[bits:].any()
        )
        outside = Signal(reset_less=True)  # ring_base, and then either
        with m.If(state == State.RING):
            m.d.sync += outside.eq(beyond)
        with m.If(state == State.CHECK):
            m.d.sync += outside.eq(outside | beyond)
        out_of_range = out_of_range | outside | ((state == State.CHECK) & beyond)
        words = self.config.memory.activation_words
        return Cat(zero_count, out_of_range, place.base + offered.steps > words)

    def _elaborate_wait(
        self, m: Module, state: Signal, now: Any, wrong: Value, again: Value, outer: Value
    ) -> Value:
        """Take the semaphores of a token; return that it may begin, unless it is wrong."""
        m.submodules.permit = permit = Permit()
        wiring.connect(m, permit.wait, wiring.flipped(self.wait))
        begin = state == State.CHECK
        wanted = ~(begin & wrong[:2].any())  # what is wrong as a whole waits for nothing
        granted = (state == State.WAIT) & permit.granted
        m.d.comb += [
            permit.begin.eq(begin | again),
            permit.inner.id.eq(now.wait_inner.id),
            permit.inner.present.eq(now.wait_inner.present & wanted),
            permit.outer.id.eq(now.wait_outer.id),
            permit.outer.present.eq(now.wait_outer.present & wanted & (begin | outer)),
            self.fault.pc.eq(now.pc),
            self.fault.code.eq(
                Mux(wrong[0], ErrorCode.ZERO_COUNT.value, ErrorCode.ADDRESS_RANGE.value)
            ),
        ]
        m.d.sync += self.fault.valid.eq(granted & wrong.any())
        return granted & ~wrong.any()

    def _elaborate_offer(
        self, m: Module, state: Signal, place: Any, beyond: Value, step_last: Value, enter: Value
    ) -> None:
        """Offer words for which there is room, and count."""
        begun, ended = enter & place.first, enter & step_last
        none, drained = count_results(m, self.config, begun, self.taken)
        full = none & place.first
        if self.config.beats_per_result > 2:  # NEXT keeps two of them apart
            full |= keep_apart(m, self.config, ended) & step_last
        words = state == State.WORDS
        m.d.comb += [
            self.control.valid.eq(words & ~full & ~beyond & ~self.halt),
            self.control.payload.last.eq(step_last),
            self.control.payload.operand.eq(place.operand),
            self.control.payload.activation.eq(place.activation),
            self.idle.eq((state == State.IDLE) & drained),
        ]
        m.d.sync += [
            self.events.busy.eq(enter),
            self.events.wait_semaphore.eq(self.wait.valid & ~self.wait.ready),
            self.events.wait_output.eq(words & full),
            self.events.wait_write.eq(self.control.valid & ~self.control.ready),
        ]

    def _elaborate_counts(
        self, m: Module, state: Signal, place: Any, begin: Value, enter: Value, token_end: Value,
        group_end: Value,
    ) -> None:  # fmt: skip
        """Count from one on, and know the first word of a result."""
        with m.If(enter):
            m.d.sync += [place.step.eq(place.step + 1), place.first.eq(0)]
        with m.Elif(state != State.WORDS):
            m.d.sync += [place.step.eq(1), place.first.eq(1)]
        with m.If(begin | token_end):
            m.d.sync += place.tile.eq(1)
        with m.Elif(state == State.NEXT):
            m.d.sync += place.tile.eq(place.tile + ~self.halt)
        with m.If(begin | group_end):
            m.d.sync += place.token.eq(1)
        with m.Elif(token_end):
            m.d.sync += place.token.eq(place.token + 1)
        with m.If(begin):
            m.d.sync += place.group.eq(1)
        with m.Elif(group_end):
            m.d.sync += place.group.eq(place.group + 1)

    def _elaborate_addresses(
        self, m: Module, state: Signal, now: Any, place: Any, beyond: Value, enter: Value,
        token_end: Value, group_end: Value,
    ) -> None:  # fmt: skip
        """Go on in the memories; tokens of a group begin at the same operand."""
        begin = state == State.CHECK
        moved = place.base[:-1] + now.stride
        with m.If(begin | group_end):
            m.d.sync += place.base.eq(now.activation)
        with m.Elif(token_end):
            m.d.sync += place.base.eq(Cat(moved[:-1], moved[-1] | now.stride_overflow))
        with m.If(enter):
            m.d.sync += place.activation.eq(place.activation + 1)
        with m.Elif(state != State.WORDS):
            m.d.sync += place.activation.eq(place.base)

        with m.If(enter):
            m.d.sync += place.operand.eq(place.operand + 1)
        with m.Elif((state == State.IDLE) | ((state == State.WORDS) & beyond)):
            m.d.sync += place.operand.eq(now.ring_base)
        with m.Elif((state == State.RING) | (token_end & ~group_end)):
            m.d.sync += place.operand.eq(place.group_operand)
        with m.If((state == State.IDLE) | group_end):
            m.d.sync += place.group_operand.eq(
                Mux(state == State.IDLE, now.operand, place.operand)
            )


def _place(config: Config) -> data.StructLayout:
    """Return the shape of the place that the loops are at."""
    members = job(config).members
    tile = range(config.memory.operand_tiles + 1)  # up to the ring's end
    return data.StructLayout({
        "step": members["steps"],
        **{name: members[f"{name}s"] for name in ("tile", "token", "group")},
        "first": 1,
        "base": job(config)["activation"].width + 1,  # a bit more, for those beyond the memory
        "activation": members["activation"],
        "operand": tile,
        "group_operand": tile,
    })
