"""STORE: from the vector unit's stream or wide memory to external memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..interfaces import PC_BITS, WritePort, activation_word, descriptor, unit_ports
from ..isa import ErrorCode, Opcode, StoreKind
from ..memory.wide import WideRead
from ..sequencer.permit import semaphore
from ..stream.fifo import Fifo
from ..stream.skid import Skid
from .answers import Answers
from .burst_buffer import BurstBuffer
from .check import transfer_error
from .fork import Fork
from .pages import PageWriter, store_word
from .requester import Requester, extent, extent_of
from .source import StoreSource

__all__ = ["StoreUnit"]


def _destination(config: Config) -> data.StructLayout:
    """Return the shape of what the second half of STORE knows of a descriptor."""
    return data.StructLayout({
        "extent": extent(config), "post_outer": semaphore(), "pc": PC_BITS,
    })  # fmt: skip


class StoreUnit(wiring.Component):
    """Execute STORE.

    ::

        instruction ──►[ check ]──┬──►[ source ]──►[ pages ]──► beats ──┐
                                  │   ▲  ▲   └─── runs ──┐              ▼
                                  │ stream wide          ▼      [ burst buffer ]──► bus.request
                                  └──►[ queue ]──►[ requester ]─►─┘     │           bus.data
                                                                  [ answers ]◄───── bus.response

    The source runs ahead of the requester by ``sequencer.queue_depth - 1`` transfers. A burst is
    requested when all its data are here. Words have a register between source and pages (not with
    short pipelines), so that neither waits for what the other one decides.

    =========== ==========================================================
    Latency     of a burst of n beats, from its first wide word read to its
                request: n + 8 cycles where a word is two beats (n + 6 with
                short pipelines); its data 2 cycles after the request is
                accepted
    Throughput  1 beat per cycle; 2 cycles are lost between runs, and 1 with
                ``vector.rows`` where a wide word is one beat, and whenever
                the vector unit reads
    Stall       a slow bus holds up ``stream`` when the burst buffer is full
                (two bursts and a page)
    Golden      :func:`systolith_sim.dma.pages.pack_pages`
    =========== ==========================================================

    Errors: undefined kinds; zero counts; beats too few for the elements (ZERO_COUNT, before the
    last burst of the run is requested); misaligned ``address`` or ``row_stride``; bursts beyond
    the address space, words beyond wide memory (ADDRESS_RANGE); error responses. Beats that the
    elements do not fill are zero. The transfers before one that is refused at the start are
    completed.

    Parameters
    ----------
    config : Config
        The one description.

    Members
    -------
    instruction, wait, post_inner, post_outer, fault, halt, idle
        As every unit has them.
    bus : Out(WritePort)
        External memory.
    stream : In(stream of activation_word)
        From the vector unit.
    wide : Out(WideRead)
        Wide memory.
    events : Out
        ``beats``, ``wait_semaphore``, ``wait_source``, ``wait_bus``.
    """

    instruction: Any
    wait: Any
    post_inner: Any
    post_outer: Any
    fault: Any
    halt: Signal
    idle: Signal
    events: Any
    bus: Any
    stream: Any
    wide: Any

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            **unit_ports(Opcode.STORE),
            "events": Out(data.StructLayout({
                "beats": 1, "wait_semaphore": 1, "wait_source": 1, "wait_bus": 1,
            })),
            "bus": Out(WritePort(config)),
            "stream": In(stream.Signature(activation_word(config))),
            "wide": Out(WideRead(config, yields=bool(config.vector.rows))),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.fork = fork = Fork(descriptor(Opcode.STORE))
        m.submodules.source = source = StoreSource(self.config)
        m.submodules.pages = pages = PageWriter(self.config)
        m.submodules.requester = requester = Requester(self.config)
        m.submodules.buffer = buffer = BurstBuffer(self.config)
        m.submodules.answers = answers = Answers(self.config)
        connect(m, fork.first, source.i)
        for name in ("wait", "post_inner", "wide"):
            connect(m, getattr(source, name), flipped(getattr(self, name)))
        connect(m, flipped(self.stream), source.stream)
        self._connect_words(m, source, pages)
        connect(m, requester.o, buffer.bursts)
        connect(m, buffer.request, flipped(self.bus.request))
        connect(m, buffer.data, flipped(self.bus.data))
        connect(m, flipped(self.bus.response), answers.response)
        connect(m, answers.post_outer, flipped(self.post_outer))

        # Halt comes from afar, so it is registered, and not for others, too; a fault of our own
        # stops bursts at once, and the source, which then takes no word that counts, a cycle later.
        halted = Signal(attrs={"keep": 1})
        stop = Signal()
        stopped = Signal()
        beyond = Signal()
        m.d.sync += [
            halted.eq(self.halt), stopped.eq(self.halt | self.fault.valid),
            beyond.eq(requester.beyond),
        ]  # fmt: skip
        m.d.comb += [
            stop.eq(halted | self.fault.valid),
            source.stop.eq(stopped),
            source.room.eq(pages.room),
            source.end_taken.eq(buffer.end_taken),
            pages.end_taken.eq(buffer.end_taken),
            pages.read.eq(buffer.read),
            requester.stop.eq(stop),
            requester.go.eq(source.runs.valid),
            requester.last_row.eq(source.runs.payload),
            source.runs.ready.eq(requester.take),
            buffer.write.eq(pages.write),
            buffer.limit.eq(pages.limit),
            buffer.ended.eq(pages.ended),
            buffer.stop.eq(stop),
            buffer.hold.eq(answers.hold),
            answers.burst.eq(requester.o.valid & requester.o.ready),
            answers.end.eq(requester.o.p.mark.run_end & requester.o.p.mark.last_run),
        ]
        bad, error = self._elaborate_check(m, fork, source.none)
        pc, queued = self._elaborate_destination(m, fork.second, requester, answers)
        idle = ~queued & answers.idle
        self._elaborate_fault(m, (
            (answers.failed, ErrorCode.BUS_WRITE, answers.failed_pc),
            (beyond, ErrorCode.ADDRESS_RANGE, pc),
            (buffer.overrun, ErrorCode.ZERO_COUNT, pc),
            (source.beyond, ErrorCode.ADDRESS_RANGE, self.instruction.p.pc),
            # The transfers before a bad one are finished first.
            (bad & idle, error, self.instruction.p.pc),
        ))  # fmt: skip
        m.d.comb += self.idle.eq(~self.instruction.valid & idle)
        self._elaborate_events(m, source)
        return m

    def _connect_words(self, m: Module, source: StoreSource, pages: PageWriter) -> None:
        """Give words to the pages, by way of registers."""
        if self.config.short_pipelines:
            connect(m, source.words, pages.i)
            return
        # Wide words come no faster than they are written, so one register holds them.
        shape = store_word(self.config)
        held = {name: field.shape for name, field in shape if name != "wide"}
        m.submodules.between = between = Skid(data.StructLayout(held))
        wide = Signal(shape["wide"].shape, reset_less=True)
        m.d.comb += [
            between.i.valid.eq(source.words.valid),
            source.words.ready.eq(between.i.ready),
            pages.i.valid.eq(between.o.valid),
            between.o.ready.eq(pages.i.ready),
            *(between.i.payload[name].eq(source.words.payload[name]) for name in held),
            *(pages.i.payload[name].eq(between.o.payload[name]) for name in held),
            pages.i.payload.wide.eq(wide),
        ]
        taken = source.words.valid & source.words.ready
        with m.If(taken & (source.words.payload.kind == StoreKind.WIDE)):
            m.d.sync += wide.eq(source.words.payload.wide)

    def _elaborate_check(self, m: Module, fork: Fork, none: Value) -> tuple[Value, Value]:
        """Let a descriptor pass when it is legal; return "it is not" and why.

        ``none`` says that there are no rows or no elements, until the descriptor passes.
        """
        fields = self.instruction.payload
        wide = fields.kind == StoreKind.WIDE
        found = Signal(4)
        error = Signal(4)
        fine = Signal()
        checked = Signal()
        m.d.sync += checked.eq(self.instruction.valid & ~self.instruction.ready)
        m.d.comb += found.eq(transfer_error(
            self.config, fields,
            illegal=~wide & (fields.kind != StoreKind.STREAM),
            empty=none,
            outside=wide & (fields.local >= self.config.memory.wide_words),
        ))  # fmt: skip
        with m.If(~checked):
            m.d.sync += [error.eq(found), fine.eq(~found.any())]
        passed = checked & fine
        m.d.comb += [
            fork.i.payload.eq(fields),
            fork.i.valid.eq(self.instruction.valid & passed),
            self.instruction.ready.eq(fork.i.ready & passed),
        ]
        return checked & ~fine, error

    def _elaborate_destination(
        self, m: Module, i, requester: Requester, answers: Answers
    ) -> tuple[Value, Value]:
        """Wire the requester, through a queue if there is one; return its pc and "queued"."""
        fields = i.payload
        place: Any = Signal(_destination(self.config))
        for name, value in extent_of(self.config, fields).items():
            m.d.comb += place.extent[name].eq(value)
        m.d.comb += [place.post_outer.eq(fields.post_outer), place.pc.eq(fields.pc)]

        depth = self.config.sequencer.queue_depth - 1
        queued: Value = Const(0)
        offered: Any = place
        if depth == 0:
            m.d.comb += [
                requester.i.valid.eq(i.valid & ~answers.asked),
                i.ready.eq(answers.done & ~self.fault.valid),
            ]
        else:
            m.submodules.queue = queue = Fifo(_destination(self.config), depth)
            m.d.comb += [
                queue.i.payload.eq(place),
                queue.i.valid.eq(i.valid),
                i.ready.eq(queue.i.ready),
                requester.i.valid.eq(queue.o.valid),
                queue.o.ready.eq(requester.i.ready),
            ]
            queued, offered = ~queue.empty, queue.o.payload
        m.d.comb += [
            requester.i.payload.eq(offered.extent),
            answers.post.eq(offered.post_outer),
            answers.pc.eq(offered.pc),
        ]
        return offered.pc, queued

    def _elaborate_fault(self, m: Module, reasons) -> None:
        """Keep the first fault; of several in one cycle, that of the oldest work.

        Without a queue, an instruction that fails stays where it is.
        """
        held = self.config.sequencer.instructions_stand
        first_pc = Signal.like(self.fault.pc, reset_less=True)
        m.d.comb += self.fault.pc.eq(self.instruction.p.pc if held else first_pc)
        with m.If(~self.fault.valid):
            for valid, code, pc in reversed(reasons):
                with m.If(valid):
                    m.d.sync += [self.fault.valid.eq(1), self.fault.code.eq(code)]
                    if not held:
                        m.d.sync += first_pc.eq(pc)

    def _elaborate_events(self, m: Module, source: StoreSource) -> None:
        """Tell the counters what we do and what we wait for."""
        request, beats = self.bus.request, self.bus.data
        m.d.comb += [
            self.events.beats.eq(beats.valid & beats.ready),
            self.events.wait_semaphore.eq(self.wait.valid & ~self.wait.ready),
            self.events.wait_source.eq(source.stream.ready & ~source.stream.valid),
            self.events.wait_bus.eq(
                (request.valid & ~request.ready) | (beats.valid & ~beats.ready)
            ),
        ]
