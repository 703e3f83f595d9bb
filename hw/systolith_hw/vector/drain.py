"""The loops of DRAIN: what every beat is, when it may come, and whether it is legal."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..interfaces import PC_BITS, Fault, SemaphoreWait, descriptor
from ..isa import DrainKind, ErrorCode, Opcode
from ..sequencer.permit import Permit, semaphore
from .address_counter import AddressCounter, address_bits, address_fields
from .block_exponent import BASE_BITS
from .loop_counter import LoopCounter, loop_bounds

__all__ = ["DrainLoop", "drain_beat"]


def drain_beat(config: Config) -> data.StructLayout:
    """Return the shape of all that is known of a beat before its sums are there.

    * ``select``: which L of a result's C sums; ``lanes``: how many of them, from lane 0 on, are
      channels that exist; ``scale``: their scale word.
    * ``wide``, ``stream``: where it goes, if not to activation words; ``base`` as in DRAIN.
    * ``end``: the last beat of a written word; ``index``: its place in an activation word;
      ``address``: where the word goes.
    * ``post_inner``, ``post_outer``: semaphores given when that word is written.
    """
    lanes = config.vector.lanes
    return data.StructLayout({
        "select": range(config.beats_per_result),
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


def header() -> data.StructLayout:
    """Return the shape of what is kept of an instruction besides loops and addresses."""
    waits_and_posts = ("wait_outer", "wait_inner", "post_outer", "post_inner")
    return data.StructLayout({
        **dict.fromkeys(waits_and_posts, semaphore()),
        "wide": 1,
        "stream": 1,
        "illegal": 1,
        "base": BASE_BITS,
        "pc": PC_BITS,
    })


class State(enum.Enum, shape=2):
    """What the loop does: nothing, check the instruction that has come, make beats."""

    IDLE = 0
    CHECK = 1
    RUN = 2


class DrainLoop(wiring.Component):
    """Take DRAIN apart into beats, in the order of MATMUL's results.

    ::

        for group in groups:                                      # wait_outer
            for token in tokens:                                  # wait_inner
                for tile in tiles (tiles_last in the last group):
                    for select in range(C / L): a beat

        instruction ──►[ LoopCounter, AddressCounter ]──►[ beat ]──► o
                              ▲ wait

    A beat enters the register behind ``o`` when the semaphores before it have been taken, so these
    cost nothing while an earlier beat still stands there. One that has an address outside its
    memory is never offered: when it gets there it becomes a fault.

    =========== ====================================================
    Latency     3 cycles from accepting an instruction to its first beat
    Throughput  1 beat per cycle, less 2 cycles between instructions; a beat
                with two semaphores before it takes 2 cycles
    Stall       counters advance combinationally with ``o.ready`` and ``wait.ready``
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
        Accept no instruction.
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
        occupied, outside = Signal(), Signal()
        load, check, advance, permitted = Signal(), Signal(), Signal(), Signal()
        running, failed = Signal(), Signal()
        m.d.comb += [
            failed.eq(self.fault.valid | (occupied & outside)),
            self.instruction.ready.eq((state == State.IDLE) & ~self.halt & ~failed),
            load.eq(self.instruction.valid & self.instruction.ready),
            check.eq(state == State.CHECK),
            running.eq(state == State.RUN),
            self.o.valid.eq(occupied & ~outside),
            advance.eq(running & permitted & (~occupied | (self.o.valid & self.o.ready))),
            self.idle.eq((state == State.IDLE) & ~occupied),
            self.waiting.eq(running & ~permitted & ~occupied),
        ]
        with m.If(advance):
            m.d.sync += [occupied.eq(1), outside.eq(addresses.outside)]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += occupied.eq(0)

        kept = self._elaborate_load(m, load, loops, addresses)
        wrong = kept.illegal | loops.zero
        with m.If(load):
            m.d.sync += state.eq(State.CHECK)
        with m.Elif(check):
            m.d.sync += state.eq(Mux(wrong, State.IDLE, State.RUN))
        with m.Elif(advance & loops.drain_end):
            m.d.sync += state.eq(State.IDLE)

        m.d.comb += self.fault.pc.eq(kept.pc)  # no instruction comes after a fault
        with m.If(~self.fault.valid):
            with m.If(occupied & outside):
                m.d.sync += [self.fault.valid.eq(1), self.fault.code.eq(ErrorCode.ADDRESS_RANGE)]
            with m.Elif(check & wrong):
                m.d.sync += [
                    self.fault.valid.eq(1),
                    self.fault.code.eq(
                        Mux(kept.illegal, ErrorCode.ILLEGAL_INSTRUCTION, ErrorCode.ZERO_COUNT)
                    ),
                ]

        m.submodules.permit = permit = Permit()
        connect(m, permit.wait, flipped(self.wait))
        m.d.comb += [
            loops.check.eq(check),
            permitted.eq(permit.granted),
            permit.begin.eq(check | advance),
            permit.outer.id.eq(kept.wait_outer.id),
            permit.outer.present.eq(kept.wait_outer.present & loops.group_begins),
            permit.inner.id.eq(kept.wait_inner.id),
            permit.inner.present.eq(kept.wait_inner.present & loops.token_begins),
        ]
        m.d.comb += [part.advance.eq(advance) for part in (loops, addresses)]
        for name in ("end", "token_end", "group_end"):
            m.d.comb += getattr(addresses, name).eq(getattr(loops, name))
        self._elaborate_beat(m, advance, kept, loops, addresses)
        return m

    def _elaborate_load(
        self, m: Module, load: Value, loops: LoopCounter, addresses: AddressCounter
    ) -> Any:
        """Hand an instruction to the counters; return what is kept of it here."""
        kept: Any = Signal(header(), reset_less=True)
        fields = self.instruction.payload
        wide, stream = (fields.kind == kind for kind in (DrainKind.WIDE, DrainKind.STREAM))
        m.d.comb += [part.load.eq(load) for part in (loops, addresses)]
        for name, _ in loop_bounds():
            m.d.comb += loops.bounds[name].eq(wide if name == "wide" else fields[name])
        own = {"wide": wide, "stream": stream}
        for name, _ in address_fields():
            m.d.comb += addresses.fields[name].eq(own[name] if name in own else fields[name])
        with m.If(load):
            for name in ("wait_outer", "wait_inner", "post_outer", "post_inner", "pc"):
                m.d.sync += kept[name].eq(fields[name])
            m.d.sync += [
                kept.wide.eq(wide),
                kept.stream.eq(stream),
                kept.base.eq(fields.exponent_base),
                kept.illegal.eq(fields.kind > max(DrainKind)),
            ]
        return kept

    def _elaborate_beat(
        self, m: Module, advance: Value, kept: Any, loops: LoopCounter,
        addresses: AddressCounter,
    ) -> None:  # fmt: skip
        """Add the register of the beat that is offered."""
        beat: Any = Signal(drain_beat(self.config), reset_less=True)
        m.d.comb += self.o.payload.eq(beat)
        with m.If(advance):
            for name in ("select", "lanes", "end", "index"):
                m.d.sync += beat[name].eq(getattr(loops, name))
            for name in ("wide", "stream", "base"):
                m.d.sync += beat[name].eq(kept[name])
            m.d.sync += [
                beat.scale.eq(addresses.scale),
                beat.address.eq(addresses.address),
                beat.post_inner.id.eq(kept.post_inner.id),
                beat.post_inner.present.eq(kept.post_inner.present & loops.token_end),
                beat.post_outer.id.eq(kept.post_outer.id),
                beat.post_outer.present.eq(kept.post_outer.present & loops.group_end),
            ]
