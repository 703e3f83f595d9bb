"""The loops of NORM and SOFTMAX: what every beat is, when it may come, and whether it is legal."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..interfaces import Fault, SemaphoreWait
from ..isa import SLOT_BITS, ErrorCode
from ..sequencer.permit import Permit
from ..stream.skid import Skid
from .beat import beat
from .operation import Operation
from .row_order import objection, row_descriptor, row_order, row_order_of
from .row_shapes import factor
from .row_sweep import RowSweep
from .row_tokens import RowTokens

__all__ = ["RowLoop", "row_constants"]


def row_constants() -> data.StructLayout:
    """Return the shape of what a row's factor is made from besides its sums, for NORM."""
    return data.StructLayout({"inverse": factor(), "epsilon": SLOT_BITS, "centre": 1})


class State(enum.Enum, shape=3):
    """What the loop does: nothing, check the instruction that has come, take the first token's
    semaphores, choose a sweep, make its beats, let those before an error go."""

    IDLE = 0
    CHECK = 1
    BEGIN = 2
    CHOOSE = 3
    SWEEP = 4
    REFUSE = 5


class RowLoop(wiring.Component):
    """Take NORM and SOFTMAX apart into sweeps, and sweeps into beats.

    ::

        SOFTMAX   for token in tokens:         # wait_outer before the first, wait_inner
                      a sweep: add, EXP2, sum, to words
        NORM      sweeps M(0), M(1), N(0), M(2), N(1), ...
                      M: add, measure          # wait_inner; wait_outer before the first
                      N: centre, AFFINE, to words and perhaps to wide memory
                  deferred: M(0), M(1), ..., each to words, too

        instruction ──►[ RowTokens ]──►[ RowSweep ]──►[ Skid ]──► o
                         ▲ wait, made

    While M(t + 1) goes through the datapath the factor of token t is made. But N(t) comes first if
    the semaphore of token t + 1 has not been given, since what N(t) posts may be what it takes.

    All words of a sweep are known to be inside their memories before its first beat; a token that
    has others becomes a fault once everything before it is done, and so does an instruction that
    is refused whole. An instruction behind one that wrote wide memory begins when that is written.
    Tokens of one instruction must not write what later ones read.

    =========== ===================================================================
    Latency     6 cycles from accepting an instruction to its first beat
    Throughput  1 beat per cycle; 1 cycle between sweeps, 2 behind one of a single
                beat, 6 between instructions
    Stall       no combinational path
    Golden      :mod:`systolith_sim.machine.row`
    =========== ===================================================================

    Parameters
    ----------
    config : Config
        Shapes and depths; instructions must not stand.

    Members
    -------
    instruction : In(stream of row_descriptor())
        What to do.
    o : Out(stream of beat(config))
        Beats.
    constants : Out(row_constants())
        Of the last NORM, from its first beat on.
    made : In(1)
        ``RowFactor`` has handed on the factor of a row, of either instruction. Records of mean and
        factor are filled in turn, 0 first, with those of NORM.
    measuring : In(1)
        The factor of a row that DRAIN measures is being made: begin with no instruction.
    written : In(1)
        What taken beats write to wide memory may be read; falls in the cycle after a beat that
        writes there is taken, at the latest.
    wait : Out(SemaphoreWait)
        Semaphores to take.
    fault : Out(Fault)
        ILLEGAL_INSTRUCTION, ZERO_COUNT or ADDRESS_RANGE.
    halt : In(1)
        Begin with no instruction.
    idle : Out(1)
        No instruction and no beat is here, and all factors are made.
    waiting : Out(1)
        Nothing but a semaphore keeps a beat from being offered.
    """

    instruction: stream.Interface
    o: stream.Interface
    constants: data.View
    made: Signal
    measuring: Signal
    written: Signal
    wait: Any
    fault: Any
    halt: Signal
    idle: Signal
    waiting: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "instruction": In(stream.Signature(row_descriptor())),
            "o": Out(stream.Signature(beat(config))),
            "constants": Out(row_constants()),
            "made": In(1),
            "measuring": In(1),
            "written": In(1),
            "wait": Out(SemaphoreWait()),
            "fault": Out(Fault()),
            "halt": In(1),
            "idle": Out(1),
            "waiting": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.row_tokens = tokens = RowTokens(self.config)
        m.submodules.sweep = sweep = RowSweep(self.config)
        m.submodules.skid = skid = Skid(beat(self.config))
        connect(m, skid.o, flipped(self.o))

        state, following = Signal(State), Signal()
        free, load, choosing, advance = Signal(), Signal(), Signal(), Signal()
        lead, follow = Signal(), Signal()
        order, wrote_back = self._elaborate_order(m, state)
        m.d.comb += [
            free.eq((state == State.IDLE) & ~self.halt & ~self.fault.valid & ~self.measuring),
            # Wide memory is read early and written late.
            self.instruction.ready.eq(free & (~wrote_back | (self.written & ~self.o.valid))),
            load.eq(self.instruction.valid & self.instruction.ready),
            choosing.eq(state == State.CHOOSE),
            lead.eq(choosing & tokens.may_lead),
            follow.eq(choosing & tokens.may_follow & ~tokens.may_lead),
            advance.eq((state == State.SWEEP) & skid.i.ready),
            skid.i.valid.eq(state == State.SWEEP),
            self.idle.eq((state == State.IDLE) & ~self.o.valid & ~tokens.pending.any()),
        ]
        refused = self._elaborate_fault(m, state, order)
        mixed = self._elaborate_mixed(m, state, order) & tokens.pending.any()
        self._elaborate_state(
            m, state, tokens, load, mixed, refused, lead | follow, advance & sweep.row_end
        )
        with m.If(choosing):
            m.d.sync += following.eq(follow)  # the sweep is a second one
        first = (state == State.BEGIN) & ~refused
        self._elaborate_tokens(m, state, order, tokens, first, lead, follow)
        m.d.comb += [
            sweep.begin.eq(choosing),
            sweep.most.eq(tokens.most),
            sweep.valid.eq(tokens.valid),
            sweep.first_scale.eq(tokens.scale),
            sweep.first_wide.eq(Mux(tokens.may_lead, tokens.source, tokens.followed)),
            sweep.first_address.eq(tokens.destination),
            sweep.advance.eq(advance),
            skid.i.payload.eq(self._beat(m, order, tokens, sweep, choosing, following, follow)),
        ]
        return m

    def _elaborate_state(
        self, m: Module, state: Signal, tokens: RowTokens, load: Value, mixed: Value,
        refused: Value, begins: Value, ends: Value,
    ) -> None:  # fmt: skip
        """Go from state to state; a sweep ``begins``, or ``ends``."""
        with m.Switch(state):
            with m.Case(State.IDLE):
                with m.If(load):
                    m.d.sync += state.eq(State.CHECK)
            with m.Case(State.CHECK), m.If(~mixed):
                m.d.sync += state.eq(State.BEGIN)
            with m.Case(State.BEGIN):
                m.d.sync += state.eq(Mux(refused, State.REFUSE, State.CHOOSE))
            with m.Case(State.CHOOSE):
                with m.If(begins):
                    m.d.sync += state.eq(State.SWEEP)
                with m.Elif(tokens.refuse | tokens.done):
                    m.d.sync += state.eq(Mux(tokens.done, State.IDLE, State.REFUSE))
            with m.Case(State.SWEEP):
                with m.If(ends):
                    m.d.sync += state.eq(State.CHOOSE)

    def _elaborate_mixed(self, m: Module, state: Value, order: Any) -> Value:
        """Return, in CHECK, whether the SOFTMAX tells of words when they are written, but the one
        before when factors are made: at such a time both could tell in one cycle."""
        late = Signal()
        early = ~order.norm & order.post_outer.present
        with m.If(state == State.BEGIN):
            m.d.sync += late.eq(~order.norm & ~early)
        return late & early

    def _elaborate_order(self, m: Module, state: Value) -> tuple[Any, Signal]:
        """Keep what an instruction says; return that, and "the last one wrote wide memory"."""
        order: Any = Signal(row_order(self.config), reset_less=True)
        wrote_back = Signal()
        with m.If(state == State.CHECK):
            m.d.sync += wrote_back.eq(order.back)
        # Whether one is accepted is decided late, and far away from all these registers.
        with m.If(state == State.IDLE):
            fields = row_order_of(self.config, self.instruction.payload)
            m.d.sync += [order[name].eq(value) for name, value in fields.items()]
        constants: Any = Signal(row_constants(), reset_less=True)
        m.d.comb += self.constants.eq(constants)
        with m.If((state == State.CHECK) & order.norm):
            m.d.sync += [
                constants.inverse.scale.eq(order.inverse),
                constants.inverse.shift.eq(order.inverse_shift),
                constants.epsilon.eq(order.epsilon),
                constants.centre.eq(order.centre),
            ]
        return order, wrote_back

    def _elaborate_fault(self, m: Module, state: Value, order: Any) -> Signal:
        """Tell of errors; return whether the instruction is refused, in the cycle after CHECK."""
        code = objection(self.config, order)
        refused = Signal()
        m.d.comb += self.fault.pc.eq(order.pc)
        with m.If(state == State.CHECK):
            m.d.sync += [
                refused.eq(code.any()),
                self.fault.code.eq(Mux(code.any(), code, ErrorCode.ADDRESS_RANGE)),
            ]
        with m.If((state == State.REFUSE) & ~self.o.valid):
            m.d.sync += self.fault.valid.eq(1)
        return refused

    def _elaborate_tokens(
        self, m: Module, state: Value, order: Any, tokens: RowTokens, first: Value, lead: Value,
        follow: Value,
    ) -> None:  # fmt: skip
        """Step the tokens, and take the semaphores of each ahead of time."""
        m.submodules.permit = permit = Permit()
        connect(m, permit.wait, flipped(self.wait))
        fields: Any = self.instruction.payload
        # A register, since others decide when a semaphore is there.
        permitted = Signal()
        m.d.sync += permitted.eq(permit.granted & ~permit.begin)
        m.d.comb += [
            permit.begin.eq(first | (lead & ~tokens.single)),
            permit.outer.id.eq(order.wait_outer.id),
            permit.outer.present.eq(order.wait_outer.present & first),
            permit.inner.eq(order.wait_inner),
            tokens.load.eq(state == State.IDLE),
            *(tokens.first[name].eq(fields[name])
              for name in ("source", "destination", "scale", "row")),
            tokens.order.eq(order),
            tokens.prepare.eq(state == State.CHECK),
            tokens.begin.eq(first),
            tokens.permitted.eq(permitted),
            tokens.made.eq(self.made),
            tokens.lead.eq(lead),
            tokens.follow.eq(follow),
            self.waiting.eq(
                (state == State.CHOOSE) & permit.wait.valid & ~tokens.may_follow & ~self.o.valid
            ),
        ]  # fmt: skip

    def _beat(
        self, m: Module, order: Any, tokens: RowTokens, sweep: RowSweep,
        choosing: Value, following: Value, follow: Value,
    ) -> Any:  # fmt: skip
        """Return the beat that the sweep is at."""
        made: Any = Signal(beat(self.config))
        last, record = Signal(reset_less=True), Signal(init=1)
        row = Signal.like(tokens.row, reset_less=True)
        with m.If(choosing):
            m.d.sync += [last.eq(tokens.last), row.eq(tokens.row), record.eq(record ^ follow)]
        measure = order.norm & ~following
        ends = sweep.row_end & (~measure | order.defer)
        for name in ("lanes", "scale", "wide", "address", "index", "end", "row_begin", "row_end"):
            m.d.comb += made[name].eq(getattr(sweep, name))
        m.d.comb += [
            made.source.eq(sweep.wide),
            made.row_unit.eq(1),
            made.counted.eq(sweep.lanes),
            made.centre.eq(following),
            made.record.eq(record),
            made.add.eq(~following),
            made.operation.eq(
                Mux(following, Operation.AFFINE, Mux(order.norm, Operation.NONE, Operation.EXP2))
            ),
            made.measure.eq(measure),
            made.to_words.eq(~measure | order.defer),
            made.to_wide.eq(order.back & following),
            made.sum.eq(~order.norm),
            made.early.eq(~order.norm & order.post_outer.present),
            made.row.eq(row),
            made.base.eq(order.exponent_base),
            made.block_end.eq(sweep.end),
            made.post_inner.id.eq(order.post_inner.id),
            made.post_inner.present.eq(order.post_inner.present & ends),
            made.post_outer.id.eq(order.post_outer.id),
            made.post_outer.present.eq(order.post_outer.present & ends & last),
        ]
        return made
