"""LOAD: from external memory into operands, activations, wide and scale memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out, connect, flipped

from ..config import Config
from ..interfaces import (
    ReadPort,
    descriptor,
    row_write,
    scale_stream,
    unit_ports,
    wide_write,
    word_write,
)
from ..isa import ErrorCode, LoadKind, Opcode
from ..sequencer.permit import Permit
from ..stream.fifo import Fifo
from .check import transfer_error
from .elements import memory_depth
from .fork import Fork
from .marks import Marks
from .requester import Requester, extent_of
from .ring import address_bits
from .run_counter import last_slot_of
from .writer import Writer, failures, placement

__all__ = ["LoadUnit"]


class LoadUnit(wiring.Component):
    """Execute LOAD.

    ::

        instruction ──►[ check ]──┬──────────────►[ requester ]────┬─► bus.request
                                  │ wait ◄────────┘                ▼
                                  │                            [ marks ]
                                  └──►[ queue ]──►[ writer ]◄──────┴── bus.data
                                                    └──► rows, words, wide, scale; posts

    The requester runs ahead of the writer by ``sequencer.queue_depth`` transfers, which wait in
    the queue here. With a depth of 1 there is no queue, to save its registers: an instruction
    stays where it is until both halves have done with it, and the next is requested only then.
    With ``bus.codecs`` there are two more kinds: rows that are expanded from 4-bit codes.

    =========== ==========================================================
    Latency     3 cycles from an instruction to its first request, 1 more
                with two semaphores; 2 cycles from beat to write (1 with
                short pipelines; 1 more if an element is smaller than a
                beat; 3 more for rows with ``bus.codecs``)
    Throughput  1 beat per cycle from run to run and, with a queue, from
                transfer to transfer; runs of one beat 1 in 2 cycles
    Stall       a destination that is not ready holds up ``bus.data``
    Golden      :mod:`systolith_sim.dma.pages`,
                :mod:`systolith_sim.dma.codec`
    =========== ==========================================================

    Errors: undefined kinds; zero counts; beats too few for the elements (ZERO_COUNT, when the
    run ends, before anything of the next is written); misaligned ``address`` or ``row_stride``;
    bursts beyond the address space; ``ring_end`` beyond the memory, ``ring_base``, ``local`` or
    ``lane`` out of range, ``local_stride`` above the size of the ring (ADDRESS_RANGE); read
    errors, in padding too. The transfers before one that is refused at the start are completed.

    Parameters
    ----------
    config : Config
        The one description.

    Members
    -------
    instruction, wait, post_inner, post_outer, fault, halt, idle
        As every unit has them.
    bus : Out(ReadPort)
        External memory.
    rows : Out(stream of row_write)
        OPERAND_ROWS, OPERAND_AFFINE and OPERAND_EXPONENT.
    words : Out(stream of word_write)
        OPERAND_COLUMNS and ACTIVATION.
    wide : Out(stream of wide_write)
        WIDE.
    scale : Out(scale_stream)
        SCALE.
    events : Out
        ``beats``, ``wait_semaphore``, ``wait_bus``.
    """

    instruction: stream.Interface
    wait: Any
    post_inner: Any
    post_outer: Any
    fault: Any
    halt: Signal
    idle: Signal
    events: data.View
    bus: Any
    rows: stream.Interface
    words: stream.Interface
    wide: stream.Interface
    scale: stream.Interface

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            **unit_ports(Opcode.LOAD),
            "events": Out(data.StructLayout({"beats": 1, "wait_semaphore": 1, "wait_bus": 1})),
            "bus": Out(ReadPort(config)),
            "rows": Out(stream.Signature(row_write(config))),
            "words": Out(stream.Signature(word_write(config))),
            "wide": Out(stream.Signature(wide_write(config))),
            "scale": Out(scale_stream(config)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.fork = fork = Fork(descriptor(Opcode.LOAD))
        m.submodules.requester = requester = Requester(self.config)
        m.submodules.permit = permit = Permit()
        m.submodules.marks = marks = Marks(self.config)
        m.submodules.writer = writer = Writer(self.config)
        for name in ("rows", "words", "wide", "scale", "post_inner", "post_outer"):
            connect(m, getattr(writer, name), flipped(getattr(self, name)))
        connect(m, permit.wait, flipped(self.wait))
        connect(m, flipped(self.bus.data), writer.beats)
        m.d.comb += [
            marks.push.eq(self.bus.request.valid & self.bus.request.ready),
            marks.burst.eq(requester.o.p.mark),
            marks.pop.eq(self.bus.data.valid & self.bus.data.ready),
            writer.mark.eq(marks.beat),
            writer.awaited.eq(marks.awaited),
        ]

        # Halt comes from afar, so it is registered, and not for others, too; a fault of our own
        # stops us at once.
        halted = Signal(attrs={"keep": 1})
        failed = Signal()
        stop = Signal()
        m.d.sync += halted.eq(self.halt)
        m.d.comb += [
            stop.eq(halted | failed),
            requester.stop.eq(stop),
            writer.stop.eq(stop),
        ]

        last_row = self._elaborate_requests(m, fork.first, requester, permit)
        error, checked = self._elaborate_check(m, fork, last_row)
        queued = self._elaborate_placement(m, fork.second, writer)
        # The transfers before a bad one are finished first.
        refused = checked & error.any() & ~queued & ~writer.busy
        self._elaborate_fault(m, writer, requester.beyond, refused, error, failed)
        m.d.comb += [
            self.idle.eq(~self.instruction.valid & ~queued & ~writer.busy),
            self.events.beats.eq(self.bus.data.valid & self.bus.data.ready),
            self.events.wait_semaphore.eq(self.wait.valid & ~self.wait.ready),
            self.events.wait_bus.eq(writer.starving & ~self.wait.valid & ~stop),
        ]
        return m

    def _elaborate_fault(
        self, m: Module, writer: Writer, beyond: Value, refused: Value, error: Value,
        failed: Signal,
    ) -> None:  # fmt: skip
        """Keep the first fault: stop in the next cycle, name the reason in the one after.

        Without a queue, an instruction that fails stays where it is.
        """
        held = self.config.sequencer.instructions_stand
        reasons: Any = Signal(failures())
        ours = Signal()
        pc = Signal.like(self.fault.pc, reset_less=True)
        m.d.comb += [
            ours.eq(reasons.as_value().any()),
            self.fault.pc.eq(self.instruction.p.pc if held else pc),
        ]
        with m.If(~failed):
            m.d.sync += [
                failed.eq(writer.failed.as_value().any() | beyond | refused),
                reasons.eq(writer.failed),
            ]
            if not held:
                m.d.sync += pc.eq(writer.failed_pc)
        with m.Elif(~self.fault.valid):
            m.d.sync += [
                self.fault.valid.eq(1),
                self.fault.code.eq(
                    Mux(reasons.illegal, ErrorCode.ADDRESS_RANGE,
                    Mux(reasons.error, ErrorCode.BUS_READ,
                    Mux(reasons.short, ErrorCode.ZERO_COUNT,
                    Mux(error.any(), error, ErrorCode.ADDRESS_RANGE))))
                ),
            ]  # fmt: skip
            if not held:
                with m.If(~ours):
                    m.d.sync += pc.eq(self.instruction.p.pc)

    def _elaborate_check(self, m: Module, fork: Fork, last_row: Value) -> tuple[Value, Value]:
        """Let a descriptor pass when it is legal; return its error and "this is known".

        Before a transfer begins, rows are counted to zero: then ``last_row`` says that it has
        none.
        """
        fields = self.instruction.payload
        too_high = Signal()
        illegal = Signal()
        with m.Switch(fields.kind):
            for kind, words in memory_depth(self.config).items():
                with m.Case(kind):
                    m.d.comb += too_high.eq(fields.ring_end > words)
            with m.Default():
                m.d.comb += illegal.eq(1)
        bits = address_bits(self.config)
        lanes = len(self.words.p.lane)
        columns = fields.kind == LoadKind.OPERAND_COLUMNS
        outside = (
            too_high
            | (fields.local | fields.local_stride | fields.ring_base)[bits:].any()
            | (columns & fields.lane[lanes:].any())
        )
        empty = last_row | (fields.elements == 0)

        error = Signal(4)
        checked = Signal()
        m.d.sync += checked.eq(self.instruction.valid & ~self.instruction.ready)
        with m.If(~checked):
            m.d.sync += error.eq(transfer_error(
                self.config, fields, illegal=illegal, empty=empty, outside=outside
            ))  # fmt: skip
        passed = checked & ~error.any()
        m.d.comb += [
            fork.i.payload.eq(fields),
            fork.i.valid.eq(self.instruction.valid & passed),
            self.instruction.ready.eq(fork.i.ready & passed),
        ]
        return error, checked

    def _elaborate_requests(self, m: Module, i, requester: Requester, permit: Permit) -> Value:
        """Wire the requester, and the semaphores that each run waits for; return "last row"."""
        fields = i.payload
        extent = extent_of(self.config, fields)
        row = Signal(self.config.sequencer.count_width)
        last_row = row == fields.rows
        m.d.sync += row.eq(Mux(requester.i.ready, 0, row + requester.ask))
        m.d.comb += [
            *(requester.i.p[name].eq(value) for name, value in extent.items()),
            requester.i.valid.eq(i.valid),
            i.ready.eq(requester.i.ready),
            permit.begin.eq(requester.ask),
            permit.outer.eq(Mux(requester.ask_first, fields.wait_outer, 0)),
            permit.inner.eq(fields.wait_inner),
            requester.go.eq(permit.granted),
            requester.last_row.eq(last_row),
            self.bus.request.p.address.eq(requester.o.p.address),
            self.bus.request.p.last.eq(requester.o.p.mark.last),
            self.bus.request.valid.eq(requester.o.valid),
            requester.o.ready.eq(self.bus.request.ready),
        ]
        return last_row

    def _elaborate_placement(self, m: Module, i, writer: Writer) -> Value:
        """Wire the writer, through a queue if there is one; return "something waits in it"."""
        fields = i.payload
        place: Any = Signal(placement(self.config))
        runs, ring = place.runs, place.ring
        m.d.comb += [
            runs.kind.eq(fields.kind),
            runs.last_slot.eq(last_slot_of(m, self.config, fields.kind)),
            runs.elements.eq(fields.elements),
            ring.local.eq(fields.local),
            ring.local_stride.eq(fields.local_stride),
            ring.ring_base.eq(fields.ring_base),
            ring.ring_end.eq(fields.ring_end),
            place.lane.eq(fields.lane),
            place.post_inner.eq(fields.post_inner),
            place.post_outer.eq(fields.post_outer),
            place.pc.eq(fields.pc),
        ]
        depth = self.config.sequencer.queue_depth
        if depth == 1:
            m.d.comb += [
                writer.i.payload.eq(place), writer.i.valid.eq(i.valid), i.ready.eq(writer.i.ready)
            ]  # fmt: skip
            return Const(0)
        m.submodules.queue = queue = Fifo(placement(self.config), depth)
        connect(m, queue.o, writer.i)
        m.d.comb += [
            queue.i.payload.eq(place), queue.i.valid.eq(i.valid), i.ready.eq(queue.i.ready)
        ]  # fmt: skip
        return ~queue.empty
