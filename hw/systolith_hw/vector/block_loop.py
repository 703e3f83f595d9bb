"""The loops of DRAIN where there is a row unit: what every beat is, and when it may come."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..interfaces import Fault, SemaphoreWait
from ..isa import ErrorCode
from ..sampling.candidate import task
from ..sequencer.permit import Permit
from ..stream.skid import Skid
from ..tables import FRACTION
from .beat import beat
from .best_channel import best_begin
from .block_order import as_drain, block_order, block_order_of, drain_descriptor, objection
from .block_sweep import BlockSweep
from .block_tokens import BlockTokens
from .operation import Operation

__all__ = ["BlockLoop"]


class State(enum.Enum, shape=2):
    """What the loop does: nothing, check the instruction that has come, make beats, let those
    before an error go."""

    IDLE = 0
    CHECK = 1
    RUN = 2
    REFUSE = 3


class BlockLoop(wiring.Component):
    """Take DRAIN apart into tokens, and tokens into blocks of beats.

    ::

        for group in groups:                                      # wait_outer
            for token in tokens:                                  # wait_inner
                for each of the token's blocks:                   # no waiting inside
                    for each L of its channels: a beat

        instruction ──►[ BlockTokens ]──►[ BlockSweep ]──►[ Skid ]──► o
                                              ▲ wait

    While a token is swept the addresses of the next one are checked. One that has any word, scale
    word, scale entry or row outside a memory gets no beat: once those before it are taken it
    becomes a fault, and so does an instruction that is refused whole, which takes no semaphore.

    An instruction that reads wide memory begins when all wide words before it are written, one of
    ``maximum``, which finds the exponents of keys, when all of these are, any that is behind BEST,
    CANDIDATES or SAMPLE when everything is, and MEASURED when the factor of the last one is made.
    SAMPLE is a token of a beat without sums.

    =========== ===================================================================
    Latency     3 cycles from accepting an instruction to its first beat; for VALUES
                of T tiles T + 2
    Throughput  1 beat per cycle, less 2 cycles between instructions (T + 1); a token
                with two semaphores before it takes another
    Stall       counters advance combinationally with ``wait.ready``
    Golden      :mod:`systolith_sim.machine.vector`
    =========== ===================================================================

    Parameters
    ----------
    config : Config
        Shapes and depths; instructions must not stand.

    Members
    -------
    instruction : In(stream of drain_descriptor(config))
        What to do.
    o : Out(stream of beat(config))
        Beats. Those of a block come on consecutive cycles, but for ``o.ready``.
    written : In(1)
        Everything that taken beats write may be read; falls in the cycle after a beat is taken.
    wide_written, exponents_written : In(1)
        A beat that is made now may read the wide words that taken beats write, but for numbers of
        BEST, or their exponents; fall likewise.
    measured : In(1)
        The factor of MEASURED is made.
    measuring : Out(1)
        It will be.
    best : Out(best_begin())
        An instruction of BEST begins.
    sampling : Out(task())
        One of CANDIDATES, or SAMPLE.
    wait : Out(SemaphoreWait)
        Semaphores to take.
    fault : Out(Fault)
        ILLEGAL_INSTRUCTION, ZERO_COUNT or ADDRESS_RANGE.
    halt : In(1)
        Begin with no instruction.
    idle : Out(1)
        No instruction and no beat is here.
    waiting : Out(1)
        Nothing but a semaphore keeps a beat from being offered.
    """

    instruction: stream.Interface
    o: stream.Interface
    written: Signal
    wide_written: Signal
    exponents_written: Signal
    measured: Signal
    measuring: Signal
    best: data.View
    sampling: data.View
    wait: Any
    fault: Any
    halt: Signal
    idle: Signal
    waiting: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "instruction": In(stream.Signature(drain_descriptor(config))),
            "o": Out(stream.Signature(beat(config))),
            "written": In(1),
            "wide_written": In(1),
            "exponents_written": In(1),
            "measured": In(1),
            "measuring": Out(1),
            "best": Out(best_begin()),
            "sampling": Out(task()),
            "wait": Out(SemaphoreWait()),
            "fault": Out(Fault()),
            "halt": In(1),
            "idle": Out(1),
            "waiting": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.block_tokens = tokens = BlockTokens(self.config)
        m.submodules.sweep = sweep = BlockSweep(self.config)
        m.submodules.skid = skid = Skid(beat(self.config))
        connect(m, skid.o, flipped(self.o))

        state = Signal(State)
        permitted, first, made, advance = Signal(), Signal(), Signal(), Signal()
        may_begin = Signal()
        outside: Value = sweep.token.outside
        done = sweep.row_end & sweep.token.group_ends & sweep.token.last_group
        order = self._elaborate_order(m, state)
        following = advance & sweep.row_end & ~done
        begin = first | following
        # These loops may begin with an instruction that is refused, too.
        loops_begin = may_begin | following
        m.d.comb += [
            made.eq((state == State.RUN) & permitted),
            skid.i.valid.eq(made & ~outside),
            advance.eq(skid.i.valid & skid.i.ready),
            self.instruction.ready.eq((state == State.IDLE) & ~self.halt & ~self.fault.valid),
            self.idle.eq((state == State.IDLE) & ~self.o.valid),
            self.waiting.eq((state == State.RUN) & ~permitted & ~self.o.valid),
            tokens.load.eq(state == State.IDLE),
            tokens.first.eq(as_drain(self.config, self.instruction.payload)),
            tokens.order.eq(order),
            tokens.step.eq(loops_begin),
            sweep.order.eq(order),
            sweep.begin.eq(loops_begin),
            sweep.next.eq(tokens.token),
            sweep.advance.eq(advance),
            skid.i.payload.eq(self._beat(m, order, sweep)),
        ]
        self._elaborate_first(m, state, order, tokens.settled, may_begin, first)
        if self.config.vector.candidates:
            self._elaborate_sampling(m, state, order, first)
        self._elaborate_permit(m, begin, permitted, order, tokens)
        self._elaborate_state(m, state, order, first, made & outside, advance & done)
        return m

    def _elaborate_order(self, m: Module, state: Value) -> Any:
        """Keep what an instruction says, from the check to the last beat."""
        order: Any = Signal(block_order(self.config), reset_less=True)
        # Whether one is accepted is decided late, and far away from all these registers.
        with m.If(state == State.IDLE):
            fields = block_order_of(self.config, self.instruction.payload)
            m.d.sync += [order[name].eq(value) for name, value in fields.items()]
        return order

    def _elaborate_first(
        self, m: Module, state: Value, order: Any, settled: Value, may_begin: Signal,
        first: Signal,
    ) -> None:  # fmt: skip
        """Tell when an instruction ``may_begin``, and begins, with its ``first`` token."""
        written, wide_written, exponents_written = Signal(), Signal(), Signal()
        # What the last instruction wrote; the beat at `o` may be of the one before that.
        wrote_wide, wrote_exponents, wrote_best = Signal(), Signal(), Signal()
        at_hand: Any = self.o.payload
        wide_waits = self.o.valid & (at_hand.to_wide | wrote_wide)
        exponents_wait = self.o.valid & (at_hand.to_keys | wrote_exponents)
        m.d.sync += [  # no beat is made in the meantime
            written.eq(self.written & ~self.o.valid),
            wide_written.eq(self.wide_written & ~wide_waits),
            exponents_written.eq(self.exponents_written & ~exponents_wait),
        ]
        # Memories are read early and written late.
        m.d.comb += [
            may_begin.eq(
                (state == State.CHECK) & settled
                & (written | ~wrote_best) & (wide_written | ~order.add)
                & (exponents_written | ~order.maximum) & ~(order.measure & self.measuring)
            ),
            first.eq(may_begin & ~objection(order).any()),
        ]  # fmt: skip
        with m.If(first):
            m.d.sync += [
                wrote_wide.eq(order.to_wide),
                wrote_exponents.eq(order.to_keys),
                wrote_best.eq(order.to_best),
            ]
        with m.If(first & order.measure):
            m.d.sync += self.measuring.eq(1)
        with m.Elif(self.measured):
            m.d.sync += self.measuring.eq(0)
        m.d.comb += [
            self.best.valid.eq(first & order.to_best & ~order.gather & ~order.sample),
            self.best.anew.eq(~order.accumulate),
            self.best.channel.eq(order.entries),
        ]

    def _elaborate_sampling(self, m: Module, state: Value, order: Any, first: Value) -> None:
        """Tell the sampler of an instruction."""
        fields: Any = self.instruction.payload
        given: Any = Signal(task(), reset_less=True)
        with m.If(state == State.IDLE):
            m.d.sync += [
                given.most.eq(fields.token_stride),
                given.seed.eq(fields.seed),
                given.position.eq(fields.position),
                given.sharpness.scale.eq(fields.sharpness),
                given.sharpness.shift.eq(fields.sharpness_shift),
            ]
        m.d.comb += [
            self.sampling.eq(given),
            self.sampling.gathers.eq(first & order.gather),
            self.sampling.anew.eq(~order.accumulate),
            self.sampling.channel.eq(order.entries),
            self.sampling.samples.eq(first & order.sample),
        ]

    def _elaborate_permit(
        self, m: Module, begin: Value, permitted: Signal, order: Any, tokens: BlockTokens
    ) -> None:
        """Take the semaphores of the token that begins."""
        m.submodules.permit = permit = Permit()
        connect(m, permit.wait, flipped(self.wait))
        m.d.comb += [
            permitted.eq(permit.granted),
            permit.begin.eq(begin),
            permit.outer.id.eq(order.wait_outer.id),
            permit.outer.present.eq(order.wait_outer.present & tokens.token.group_begins),
            permit.inner.eq(order.wait_inner),
        ]

    def _elaborate_state(
        self, m: Module, state: Signal, order: Any, first: Value, outside: Value, done: Value
    ) -> None:
        """Go from state to state, and tell of the error; its instruction stays."""
        code = objection(order)
        with m.Switch(state):
            with m.Case(State.IDLE):
                with m.If(self.instruction.valid & self.instruction.ready):
                    m.d.sync += state.eq(State.CHECK)
            with m.Case(State.CHECK):
                with m.If(first | code.any()):
                    m.d.sync += state.eq(Mux(first, State.RUN, State.REFUSE))
            with m.Case(State.RUN):
                with m.If(outside | done):
                    m.d.sync += state.eq(Mux(outside, State.REFUSE, State.IDLE))
            with m.Case(State.REFUSE):
                with m.If(~self.o.valid):
                    m.d.sync += self.fault.valid.eq(1)
        m.d.sync += self.fault.code.eq(Mux(code.any(), code, ErrorCode.ADDRESS_RANGE))
        m.d.comb += self.fault.pc.eq(order.pc)

    def _beat(self, m: Module, order: Any, sweep: BlockSweep) -> Any:
        """Return the beat that the sweep is at."""
        made: Any = Signal(beat(self.config))
        token: Any = sweep.token
        swept = ("lanes", "counted", "index", "more", "end", "block_end", "row_begin", "row_end")
        ordered = (
            "to_wide", "to_values", "shared", "add", "factor", "scaled", "maximum", "measure",
            "base", "offset", "sample", "rectify",
        )  # fmt: skip
        turn = Mux(sweep.straight, Operation.STRAIGHT, Operation.ACROSS)
        m.d.comb += [
            *(made[name].eq(getattr(sweep, name)) for name in swept),
            *(made[name].eq(order[name]) for name in ordered),
            *(made[name].eq(token[name]) for name in ("scale", "entry", "row", "lane")),
            made.results.eq(~order.sample),
            made.to_best.eq(order.to_best & ~order.gather & ~order.sample),
            made.to_sampler.eq(order.gather | order.sample),
            *(made[name].eq(order[name] & ~sweep.straight)
              for name in ("to_words", "to_stream", "to_keys")),
            made.room.eq(order.to_stream),
            made.operation.eq(Mux(order.rotate, turn, order.function)),
            made.shift.eq(Mux(order.rotate, FRACTION, order.shift)),
            made.source.eq(sweep.source),
            made.wide.eq(token.destination),
            made.address.eq(Mux(order.measure, token.entry, token.destination)),
        ]
        ends = {"inner": sweep.row_end, "outer": sweep.row_end & token.group_ends}
        for name, end in ends.items():
            post = order[f"post_{name}"]
            m.d.comb += [
                made[f"post_{name}"].id.eq(post.id),
                made[f"post_{name}"].present.eq(post.present & end),
            ]
        return made
