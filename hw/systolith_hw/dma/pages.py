"""Put activation words into pages: exponents first."""

from collections.abc import Iterable
from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config
from ..isa import StoreKind
from ..stream.fifo import Fifo

__all__ = ["PageBuffer", "store_element", "store_element_bytes", "store_word"]

READ_LATENCY = 2


def store_word(config: Config) -> data.StructLayout:
    """Return the shape of what STORE takes from its source: a word, and "last of its run"."""
    array = config.array
    return data.StructLayout({
        "data": max(array.rows * array.mantissa_bits, config.vector.lanes * FIXED_BITS),
        "exponent": array.exponent_bits,
        "kind": 1,
        "last": 1,
    })


def store_element_bytes(config: Config) -> tuple[int, int]:
    """Return the bytes of a word in external memory, for each :class:`StoreKind`."""
    return config.array.word_bytes, config.wide_word_bytes


def store_element(config: Config) -> data.StructLayout:
    """Return the shape of what goes to external memory: a word of ``kind``, or exponents."""
    return data.StructLayout({
        "data": max(store_element_bytes(config)) * 8, "kind": 1, "last": 1,
    })  # fmt: skip


class PageBuffer(wiring.Component):
    """Hold each page of activation words until its exponents are complete; pass wide words on.

    ::

        words ──┬──────►[ queue of two pages ]──►┐
                └──►[ exponents of the page ]────┴──► exponent word, then the words

    While one page leaves, the next may come in whole. A page ends with its R-th word or with
    the run.

    =========== ==========================================================
    Latency     2 cycles from a wide word, or the last word of a page, to
                the first element
    Throughput  1 element per cycle
    Stall       ``i.ready`` looks at ``i.kind`` only; wide words are always
                taken if there was ``room`` when they were asked for
    Golden      :func:`systolith_sim.dma.pages.pack_pages`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``array`` and ``vector.lanes``.

    Members
    -------
    i : In(stream of :func:`store_word`)
        Words.
    room : Out(1)
        One more wide word may be asked for, besides the two that may be on their way.
    o : Out(stream of :func:`store_element`)
        Words and exponent words.
    """

    i: stream.Interface
    room: Signal
    o: stream.Interface

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(store_word(config))),
            "room": Out(1),
            "o": Out(stream.Signature(store_element(config))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        rows = self.config.array.rows
        width = store_word(self.config)["data"].width
        stored = data.StructLayout({"data": width, "kind": 1, "last": 1, "page_end": 1})
        m.submodules.queue = queue = Fifo(stored, max(2 * rows, 8))

        # Coming in: gather exponents.
        paged = self.i.p.kind == StoreKind.STREAM
        position = Signal(range(rows))
        page_end = Signal()
        push = Signal()
        exponents: Any = Signal(data.ArrayLayout(self.config.array.exponent_bits, rows))
        complete = Signal()
        m.d.comb += [
            page_end.eq(self.i.p.last | (position == rows - 1)),
            self.i.ready.eq(queue.i.ready & ~(paged & complete)),
            push.eq(self.i.valid & self.i.ready),
            queue.i.valid.eq(push),
            queue.i.p.data.eq(self.i.p.data),
            queue.i.p.kind.eq(self.i.p.kind),
            queue.i.p.last.eq(self.i.p.last),
            queue.i.p.page_end.eq(page_end),
            self.room.eq(queue.level <= queue.depth - 1 - READ_LATENCY),
        ]
        with m.If(push & paged):
            m.d.sync += [position.eq(Mux(page_end, 0, position + 1)), complete.eq(page_end)]
            for index in range(rows):
                with m.If(position == index):
                    m.d.sync += exponents[index].eq(self.i.p.exponent)
                with m.Elif(position == 0):
                    m.d.sync += exponents[index].eq(0)

        # Going out: exponents, then words.
        fresh = Signal(init=1)
        header = Signal()
        word = queue.o.payload
        m.d.comb += [
            header.eq(fresh & (word.kind == StoreKind.STREAM)),
            self.o.valid.eq(queue.o.valid & (~header | complete)),
            queue.o.ready.eq(self.o.ready & ~header),
            self.o.p.kind.eq(word.kind),
            self.o.p.last.eq(word.last & ~header),
            self.o.p.data.eq(Mux(
                word.kind == StoreKind.WIDE, word.data,
                Mux(header, _spread(exponents, 8), self._mantissas(word.data)),
            )),
        ]  # fmt: skip
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += fresh.eq(~header & ((word.kind == StoreKind.WIDE) | word.page_end))
            with m.If(header):
                m.d.sync += complete.eq(0)

        return m

    def _mantissas(self, word: Value) -> Value:
        """Sign-extend each mantissa to whole bytes."""
        array = self.config.array
        lanes = [word.word_select(index, array.mantissa_bits) for index in range(array.rows)]
        return _spread([lane.as_signed() for lane in lanes], array.mantissa_bytes * 8)


def _spread(values: Iterable[Value], bits: int) -> Value:
    """Return the values side by side, each extended to ``bits`` bits, by its sign if it has one."""
    return Cat(
        Cat(value, (value[-1] if value.shape().signed else Const(0)).replicate(bits - len(value)))
        for value in values
    )
