"""The loops of DRAIN: what every beat is, when it may come, and whether it is legal."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..interfaces import Fault, SemaphoreWait, descriptor
from ..isa import ErrorCode, Opcode
from ..sequencer.permit import Permit, semaphore
from ..stream.skid import Skid
from .address_counter import AddressCounter
from .block_exponent import BASE_BITS
from .loop_counter import LoopCounter
from .order import address_bits, drain_order, order_of

__all__ = ["DrainLoop", "drain_beat"]


def drain_beat(config: Config) -> data.StructLayout:
    """Return the shape of all that is known of a beat before its sums are there.

    * ``lanes``: how many of its L sums, from lane 0 on, are of channels that exist; ``scale``:
      their scale word.
    * ``wide``, ``stream``: where it goes, if not to activation words; ``base`` as in DRAIN.
    * ``end``: the last beat of a written word; ``index``: its place in an activation word;
      ``address``: where the word goes.
    * ``post_inner``, ``post_outer``: semaphores given when that word is written.
    """
    lanes = config.vector.lanes
    return data.StructLayout({
        "lanes": range(lanes + 1),
        "scale": range(config.memory.scale_words),
        "wide": 1,
        "stream": 1,
        "base": BASE_BITS,
        "end": 1,
        "index": range(config.array.rows // lanes),
        "address": address_bits(config),
        "post_inner": semaphore(),
        "post_outer": semaphore(),
    })


class State(enum.Enum, shape=2):
    """What the loop does: nothing, check the instruction that has come, make beats, let those
    before an error go."""

    IDLE = 0
    CHECK = 1
    RUN = 2
    REFUSE = 3


class DrainLoop(wiring.Component):
    """Take DRAIN apart into beats, in the order of MATMUL's results.

    ::

        for group in groups:                                      # wait_outer
            for token in tokens:                                  # wait_inner
                for tile in tiles (tiles_last in the last group):
                    for each of its C / L beats: a beat

        instruction ──►[ LoopCounter, AddressCounter ]──►[ Skid ]──► o
                              ▲ wait

    Counters go on when the semaphores before a beat have been taken, so these cost nothing while
    an earlier beat still waits in the skid. A beat that has an address outside its memory is never
    offered: once those before it are taken it becomes a fault, and so does an instruction that is
    refused whole.

    With short pipelines ``o`` comes right from the counters. With a queue of one instruction, that
    stands at ``instruction`` until the counters are through; otherwise it is copied, and the next
    may come.

    =========== ====================================================
    Latency     3 cycles from accepting an instruction to its first beat, 2 with short pipelines
    Throughput  1 beat per cycle, less 2 cycles between instructions; a beat
                with two semaphores before it takes 2 cycles
    Stall       counters advance combinationally with ``wait.ready``, and with short
                pipelines with ``o.ready``
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes and depths.

    Members
    -------
    instruction : In(stream of descriptor(Opcode.DRAIN))
        What to do.
    o : Out(stream of drain_beat(config))
        Beats.
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
    wait: Any
    fault: Any
    halt: Signal
    idle: Signal
    waiting: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "instruction": In(stream.Signature(descriptor(Opcode.DRAIN))),
            "o": Out(stream.Signature(drain_beat(config))),
            "wait": Out(SemaphoreWait()),
            "fault": Out(Fault()),
            "halt": In(1),
            "idle": Out(1),
            "waiting": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.loops = loops = LoopCounter(self.config)
        m.submodules.addresses = addresses = AddressCounter(self.config)

        state = Signal(State)
        free, load, check, permitted = Signal(), Signal(), Signal(), Signal()
        made, advance, last = Signal(), Signal(), Signal()
        m.d.comb += [
            free.eq((state == State.IDLE) & ~self.halt & ~self.fault.valid),
            load.eq(free & self.instruction.valid),
            check.eq(state == State.CHECK),
            made.eq((state == State.RUN) & permitted),
            last.eq(advance & loops.drain_end & ~addresses.outside),
            self.idle.eq((state == State.IDLE) & ~self.o.valid),
            self.waiting.eq((state == State.RUN) & ~permitted & ~self.o.valid),
        ]
        order = self._elaborate_order(m, free, last)
        # Not even a beat outside keeps the counters from going on: that would be the slowest path.
        with m.If(check & (order.illegal | loops.zero) | (made & addresses.outside)):
            m.d.sync += state.eq(State.REFUSE)
        with m.Elif(load | check | last):
            m.d.sync += state.eq(Mux(load, State.CHECK, Mux(check, State.RUN, State.IDLE)))

        for part in (loops, addresses):
            m.d.comb += [part.order.eq(order), part.check.eq(check), part.advance.eq(advance)]
        m.d.comb += [
            addresses.load.eq(load),
            addresses.first_scale.eq(self.instruction.payload.scale),
            addresses.first_destination.eq(self.instruction.payload.destination),
            addresses.end.eq(loops.end),
            addresses.token_end.eq(loops.token_end),
            addresses.last_token.eq(loops.last_token),
        ]
        self._elaborate_permit(m, check | advance, permitted, order, loops)
        beat = self._beat(m, order, loops, addresses)
        self._elaborate_offer(m, made, addresses.outside, beat, advance)
        self._elaborate_fault(m, (state == State.REFUSE) & ~self.o.valid, order, loops.zero)
        return m

    def _elaborate_order(self, m: Module, free: Value, done: Value) -> Any:
        """Accept an instruction; return its fields, which stay from the check to the last beat."""
        order: Any = Signal(drain_order(self.config), reset_less=True)
        stands = self.config.sequencer.instructions_stand
        m.d.comb += self.instruction.ready.eq(done if stands else free)
        fields = order_of(self.config, self.instruction.payload)
        if stands:
            m.d.comb += [order[name].eq(value) for name, value in fields.items()]
        else:
            with m.If(self.instruction.valid & free):
                m.d.sync += [order[name].eq(value) for name, value in fields.items()]
        return order

    def _elaborate_permit(
        self, m: Module, begin: Value, permitted: Signal, order: Any, loops: LoopCounter
    ) -> None:
        """Take the semaphores of the next beat."""
        m.submodules.permit = permit = Permit()
        connect(m, permit.wait, flipped(self.wait))
        m.d.comb += [
            permitted.eq(permit.granted),
            permit.begin.eq(begin),
            permit.outer.id.eq(order.wait_outer.id),
            permit.outer.present.eq(order.wait_outer.present & loops.group_begins),
            permit.inner.id.eq(order.wait_inner.id),
            permit.inner.present.eq(order.wait_inner.present & loops.token_begins),
        ]

    def _beat(self, m: Module, order: Any, loops: LoopCounter, addresses: AddressCounter) -> Any:
        """Return the beat that the counters are at."""
        beat: Any = Signal(drain_beat(self.config))
        for source, names in (
            (loops, ("lanes", "end", "index")), (addresses, ("scale", "address"))
        ):  # fmt: skip
            m.d.comb += [beat[name].eq(getattr(source, name)) for name in names]
        m.d.comb += [beat[name].eq(order[name]) for name in ("wide", "stream", "base")]
        m.d.comb += [
            beat.post_inner.id.eq(order.post_inner.id),
            beat.post_inner.present.eq(order.post_inner.present & loops.token_end),
            beat.post_outer.id.eq(order.post_outer.id),
            beat.post_outer.present.eq(order.post_outer.present & loops.group_end),
        ]
        return beat

    def _elaborate_offer(
        self, m: Module, made: Value, outside: Value, beat: Any, advance: Signal
    ) -> None:
        """Offer the beats that the counters make; ``advance`` to the next."""
        sink: Any = self.o
        if not self.config.short_pipelines:
            m.submodules.skid = skid = Skid(beat.shape())
            connect(m, skid.o, flipped(self.o))
            sink = skid.i
        m.d.comb += [
            sink.valid.eq(made & ~outside),
            sink.payload.eq(beat),
            advance.eq(made & sink.ready),
        ]

    def _elaborate_fault(self, m: Module, refused: Value, order: Any, zero: Value) -> None:
        """Tell of the error; its instruction stays, since none comes after it."""
        m.d.comb += self.fault.pc.eq(order.pc)
        with m.If(refused):
            m.d.sync += [
                self.fault.valid.eq(1),
                self.fault.code.eq(
                    Mux(order.illegal, ErrorCode.ILLEGAL_INSTRUCTION,
                    Mux(zero, ErrorCode.ZERO_COUNT, ErrorCode.ADDRESS_RANGE))
                ),
            ]  # fmt: skip
