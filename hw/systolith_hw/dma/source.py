"""The first half of STORE: take the words of its runs from their source."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..interfaces import SemaphorePost, SemaphoreWait, activation_word, descriptor
from ..isa import SLOT_BITS, Opcode, StoreKind
from ..memory.wide import WideRead
from ..sequencer.permit import Permit
from .pages import READ_LATENCY, store_word

__all__ = ["StoreSource"]


class StoreSource(wiring.Component):
    """Walk the runs of STOREs on chip: wait, take words, post.

    ::

        stream ─────────────────────────────┐
                                            ├──► words
        address ──► wide memory, 2 cycles ──┘

    =========== ==========================================================
    Latency     0 cycles from ``stream``, 2 from wide memory
    Throughput  1 word per cycle; 1 cycle is lost between runs
    Stall       ``stream.ready`` depends combinationally on ``words.ready``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        The one description.

    Members
    -------
    i : In(stream of STORE descriptors)
        Looked at while it waits; taken with its last word.
    wait : Out(SemaphoreWait)
        Before each run.
    post_inner : Out(SemaphorePost)
        In the cycle after the last word of a run was taken, or read.
    stream : In(stream of activation_word)
        STREAM.
    wide : Out(WideRead)
        WIDE.
    room : In(1)
        One more wide word may be read, besides those on their way.
    words : Out(stream of :func:`~systolith_hw.dma.pages.store_word`)
        The words; wide words do not wait.
    beyond : Out(1)
        The next wide word does not exist; it is not read.
    stop : In(1)
        Take no further word.
    """

    i: Any
    wait: Any
    post_inner: Any
    stream: Any
    wide: Any
    room: Signal
    words: Any
    beyond: Signal
    stop: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(descriptor(Opcode.STORE))),
            "wait": Out(SemaphoreWait()),
            "post_inner": Out(SemaphorePost()),
            "stream": In(stream.Signature(activation_word(config))),
            "wide": Out(WideRead(config)),
            "room": In(1),
            "words": Out(stream.Signature(store_word(config))),
            "beyond": Out(1),
            "stop": In(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.permit = permit = Permit()
        connect(m, permit.wait, flipped(self.wait))
        fields = self.i.payload

        begin = Signal()
        waiting = Signal()
        running = Signal()
        step = Signal()
        run_end = Signal()
        last_row = Signal()
        self._elaborate_words(m, running, step, run_end)
        self._elaborate_address(m, begin, waiting, running, step, run_end)

        row = Signal(SLOT_BITS)
        element = Signal(SLOT_BITS, init=1)
        m.d.comb += [
            run_end.eq(element == fields.elements),
            last_row.eq(row == fields.rows),
            permit.outer.eq(Mux(begin, fields.wait_outer, 0)),
            permit.inner.eq(fields.wait_inner),
        ]
        with m.If(step):
            m.d.sync += element.eq(Mux(run_end, 1, element + 1))
        m.d.sync += [
            self.post_inner.valid.eq(step & run_end & fields.post_inner[-1]),
            self.post_inner.id.eq(fields.post_inner),
        ]

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i.valid & ~self.stop):
                    m.d.comb += [begin.eq(1), permit.begin.eq(1)]
                    m.d.sync += row.eq(1)
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += waiting.eq(1)
                with m.If(permit.granted):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += running.eq(~self.stop)
                with m.If(step & run_end):
                    m.d.comb += [self.i.ready.eq(last_row), permit.begin.eq(~last_row)]
                    m.d.sync += row.eq(row + 1)
                    m.next = "WAIT"
                    with m.If(last_row):
                        m.next = "IDLE"

        return m

    def _elaborate_words(self, m: Module, running: Value, step: Signal, run_end: Value) -> None:
        """Merge stream and wide memory.

        Between two transfers lie more cycles than a word takes to come from memory, so the two
        never meet.
        """
        coming = Signal(READ_LATENCY)
        coming_last = Signal(READ_LATENCY)
        m.d.sync += [
            coming.eq(Cat(self.wide.enable, coming)),
            coming_last.eq(Cat(run_end, coming_last)),
        ]
        streaming = Signal()
        word = self.words.payload
        m.d.comb += [
            streaming.eq(running & (self.i.p.kind == StoreKind.STREAM)),
            self.stream.ready.eq(streaming & self.words.ready),
            step.eq((self.stream.valid & self.stream.ready) | self.wide.enable),
            self.words.valid.eq((streaming & self.stream.valid) | coming[-1]),
            word.kind.eq(coming[-1]),  # as StoreKind
            word.exponent.eq(self.stream.p.exponent),
            word.data.eq(Mux(
                coming[-1], self.wide.data.as_value(), self.stream.p.mantissas.as_value()
            )),
            word.last.eq(Mux(coming[-1], coming_last[-1], run_end)),
        ]  # fmt: skip

    def _elaborate_address(
        self, m: Module, begin: Value, waiting: Value, running: Value, step: Value, run_end: Value
    ) -> None:
        """Add the address of the next wide word, one bit wider than any that exists."""
        depth = self.config.memory.wide_words
        bits = depth.bit_length()
        fields = self.i.payload
        start = Signal(bits + 1)
        address = Signal(bits + 1)
        reading = Signal()
        total = Signal(bits + 1)
        m.d.comb += [
            reading.eq(running & (fields.kind == StoreKind.WIDE)),
            self.beyond.eq(reading & (address >= depth)),
            self.wide.enable.eq(reading & (address < depth) & self.room),
            self.wide.address.eq(address),
            total.eq(start[:bits] + fields.local_stride[:bits]),
        ]
        # Between runs there is a cycle of waiting, in which the address follows the start.
        m.d.sync += address.eq(Mux(waiting, start, address + self.wide.enable))
        with m.If(begin):
            m.d.sync += start.eq(fields.local)
        with m.Elif(step & run_end):
            m.d.sync += start.eq(
                Cat(total[:bits], total[bits] | fields.local_stride[bits:].any())
            )
