"""The first half of STORE: take the words of its runs from their source."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..interfaces import SemaphorePost, SemaphoreWait, activation_word, descriptor
from ..isa import Opcode, StoreKind
from ..memory.wide import WideRead
from ..sequencer.permit import Permit
from .page_shape import PageShape
from .pages import store_word

__all__ = ["StoreSource"]

class StoreSource(wiring.Component):
    """Walk the runs of STOREs on chip: wait, take words, post.

    ::

        stream ─────────────────────────────┐
                                            ├──► words
        address ──► wide memory, some cycles ┘

    With ``vector.rows`` wide memory may make a word wait, and everything behind that waits, too.

    =========== ==========================================================
    Latency     0 cycles from ``stream``, that of a read from wide memory
    Throughput  1 word per cycle, or in as many cycles as a wide word has
                beats, with ``vector.rows`` at least 2; 2 cycles are lost
                between runs
    Stall       ``stream.ready`` depends combinationally on ``words.ready``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        The one description.

    Members
    -------
    i : In(stream of STORE descriptors)
        Looked at while it waits, and before it is valid; taken with its last word.
    none : Out(1)
        ``i`` has no rows or no elements; before it is valid.
    wait : Out(SemaphoreWait)
        Before each run.
    post_inner : Out(SemaphorePost)
        In the cycle after the last word of a run was taken, or read.
    runs : Out(stream of "the last of its transfer")
        Runs that have begun; the next begins when this was taken.
    stream : In(stream of activation_word)
        STREAM.
    wide : Out(WideRead)
        WIDE.
    room : In(1)
        One more wide word may be read, besides those on their way.
    words : Out(stream of :func:`~systolith_hw.dma.pages.store_word`)
        The words; wide words do not wait.
    end_taken : In(1)
        The end of a run has been dealt with: the last word of the next may be taken.
    beyond : Out(1)
        The next wide word does not exist; it is not read.
    stop : In(1)
        Take no further word.
    """

    i: Any
    none: Signal
    wait: Any
    post_inner: Any
    runs: Any
    stream: Any
    wide: Any
    room: Signal
    words: Any
    end_taken: Signal
    beyond: Signal
    stop: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(descriptor(Opcode.STORE))),
            "none": Out(1),
            "wait": Out(SemaphoreWait()),
            "post_inner": Out(SemaphorePost()),
            "runs": Out(stream.Signature(1)),
            "stream": In(stream.Signature(activation_word(config))),
            "wide": Out(WideRead(config, yields=bool(config.vector.rows))),
            "room": In(1),
            "words": Out(stream.Signature(store_word(config))),
            "end_taken": In(1),
            "beyond": Out(1),
            "stop": In(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.permit = permit = Permit()
        connect(m, permit.wait, flipped(self.wait))
        fields = self.i.payload

        begin = Signal()
        chosen = Signal()  # a run begins in the next cycle
        running = Signal()
        step = Signal()
        run_end = Signal()
        last_row = Signal()
        # Both stand at zero between transfers, and are compared then, too. Within one they are a
        # run and an element ahead, so that what ends is known from a register.
        row = Signal(self.config.sequencer.count_width)
        element = Signal.like(row)
        enough = Signal()
        ending = Signal()
        m.d.comb += [
            enough.eq(element == fields.elements),
            last_row.eq(row == fields.rows),
            self.none.eq(enough | last_row),
            permit.outer.eq(Mux(begin, fields.wait_outer, 0)),
            permit.inner.eq(fields.wait_inner),
        ]
        self._elaborate_words(m, running & ~(run_end & ending), step, run_end)
        self._elaborate_address(m, begin, chosen, running)
        with m.If(self.end_taken):
            m.d.sync += ending.eq(0)
        with m.If(step & run_end):
            m.d.sync += ending.eq(1)
        self._elaborate_post(m, step & run_end)

        with m.If(self.runs.ready):
            m.d.sync += self.runs.valid.eq(0)
        last = self.runs.payload  # it has been taken, perhaps, but stays
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i.valid & ~self.stop):
                    m.d.comb += [begin.eq(1), permit.begin.eq(1)]
                    m.d.sync += [row.eq(1), element.eq(1)]
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += chosen.eq(permit.granted & ~self.runs.valid)
                m.d.sync += run_end.eq(enough)
                with m.If(chosen):
                    m.d.sync += [
                        self.runs.valid.eq(1), self.runs.payload.eq(last_row),
                        row.eq(Mux(last_row, 0, row + 1)),
                        element.eq(Mux(enough, ~last_row, 2)),
                    ]  # fmt: skip
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += running.eq(~self.stop)
                with m.If(step & ~run_end):
                    m.d.sync += [
                        run_end.eq(enough), element.eq(Mux(enough, ~last, element + 1))
                    ]  # fmt: skip
                with m.Elif(step):
                    m.next = "END"
            with m.State("END"):  # `step` comes late, and this goes far
                m.d.comb += [self.i.ready.eq(last), permit.begin.eq(~last)]
                m.next = "WAIT"
                with m.If(last):
                    m.next = "IDLE"

        return m

    def _elaborate_post(self, m: Module, ends: Value) -> None:
        """Tell that a run has ended: its last word is taken, or read."""
        fields = self.i.payload
        valid = ends & fields.post_inner[-1]
        if not self.config.vector.rows:
            m.d.sync += [self.post_inner.valid.eq(valid), self.post_inner.id.eq(fields.post_inner)]
            return
        ended = Signal()
        m.d.comb += self.post_inner.valid.eq(ended & self.wide.ready)
        with m.If(self.wide.ready):
            m.d.sync += [ended.eq(valid), self.post_inner.id.eq(fields.post_inner)]

    def _elaborate_reads(self, m: Module, run_end: Value) -> tuple[Value, Value, Value, int]:
        """Return of wide words: "asked for, not read", "is read" and whether it ends its run, and
        the cycles from there to the word."""
        wide = self.wide
        if not self.config.vector.rows:
            return Const(0), wide.enable, run_end, self.config.wide_latency
        waits = Signal()  # a cycle late
        ends = Signal()
        m.d.sync += waits.eq(~wide.ready)
        with m.If(wide.enable):
            m.d.sync += ends.eq(run_end)
        return ~wide.ready | waits, waits & wide.ready, ends, self.config.wide_latency - 1

    def _elaborate_words(self, m: Module, taking: Value, step: Signal, run_end: Value) -> None:
        """Merge stream and wide memory; a wide word stays for as many cycles as it has beats."""
        cycles = PageShape(self.config).pieces[StoreKind.WIDE]
        # Wide memory keeps showing a word until the next one that was read.
        asked, reads, ends, latency = self._elaborate_reads(m, run_end)
        coming = Signal(latency - 1)
        wide = Signal()  # a wide word is here
        latest = Signal(latency)  # whether the latest word read ends its run
        pause = Signal(range(cycles))
        m.d.sync += [
            coming.eq(Cat(reads, coming)),
            wide.eq(coming[-1] | (wide & ~self.words.ready)),
            latest.eq(Cat(Mux(reads, ends, latest[0]), latest)),
        ]
        busy = coming.any() | wide
        rests = Signal.like(pause)  # after this cycle
        ready: Value = Const(1)
        if self.config.vector.rows:
            ready = self.wide.ready
            busy |= asked
            # Asking takes two cycles of the pause, and what waits makes it longer.
            left = Mux(ready, pause - pause.any(), pause)
            m.d.comb += rests.eq(Mux(self.wide.enable, max(cycles - 2, 0), left))
        else:
            m.d.comb += rests.eq(Mux(self.wide.enable, cycles - 1, pause - pause.any()))
        # The kind stays for a run, and before one begins there are cycles in which nothing is read.
        streams, may_read = Signal(), Signal()
        streaming = Signal()
        m.d.sync += [
            pause.eq(rests),
            streams.eq((self.i.p.kind == StoreKind.STREAM) & ~busy),
            may_read.eq((self.i.p.kind == StoreKind.WIDE) & ~rests.any()),
        ]
        m.d.comb += [
            streaming.eq(taking & streams),
            self.stream.ready.eq(streaming & self.words.ready),
            step.eq((self.stream.valid & self.stream.ready) | self.wide.enable),
            self.wide.enable.eq(taking & may_read & self.room & ready & ~self.beyond),
            self.words.valid.eq((streaming & self.stream.valid) | wide),
            self.words.p.kind.eq(wide),  # as StoreKind
            self.words.p.exponent.eq(self.stream.p.exponent),
            self.words.p.mantissas.eq(self.stream.p.mantissas),
            self.words.p.wide.eq(self.wide.data),
            self.words.p.last.eq(Mux(wide, latest[-1], run_end)),
        ]

    def _elaborate_address(self, m: Module, begin: Value, chosen: Value, running: Value) -> None:
        """Add the address of the next wide word, one bit wider than any that exists."""
        depth = self.config.memory.wide_words
        bits = depth.bit_length()
        fields = self.i.payload
        start = Signal(bits + 1, reset_less=True)
        address = Signal(bits + 1, reset_less=True)
        total = Signal(bits + 1)
        m.d.comb += [
            self.beyond.eq(running & (fields.kind == StoreKind.WIDE) & (address >= depth)),
            self.wide.address.eq(address),
            total.eq(start[:bits] + fields.local_stride[:bits]),
        ]
        # Until a run begins its address is the start, which then goes on to the next run's.
        m.d.sync += address.eq(Mux(running, address + self.wide.enable, start))
        with m.If(begin):
            m.d.sync += start.eq(fields.local)
        with m.Elif(chosen):
            m.d.sync += start.eq(
                Cat(total[:bits], total[bits] | fields.local_stride[bits:].any())
            )
