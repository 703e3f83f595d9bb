"""Put the words of STORE into the burst buffer: activation words in pages, exponents first."""

from collections.abc import Iterable
from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config
from ..isa import StoreKind
from .page_shape import PageShape

__all__ = ["PageWriter", "beat_write", "store_word"]


def store_word(config: Config) -> data.StructLayout:
    """Return the shape of what STORE takes from its source: a word, and "last of its run".

    ``kind`` says which of ``mantissas`` and ``wide`` counts.
    """
    array = config.array
    return data.StructLayout({
        "mantissas": array.rows * array.mantissa_bits,
        "wide": config.vector.lanes * FIXED_BITS,
        "exponent": array.exponent_bits,
        "kind": 1,
        "last": 1,
    })


def beat_write(config: Config) -> data.StructLayout:
    """Return the shape of a write to the buffer: which grains of the beat at ``address``.

    ``clear`` writes a beat of zeros beside the ring; then address and data are zero.
    """
    shape = PageShape(config)
    return data.StructLayout({
        "address": shape.pointer_bits,
        "enable": config.bus.data_bytes // shape.grain_bytes,
        "clear": 1,
        "data": config.bus.data_bytes * 8,
    })


class PageWriter(wiring.Component):
    """Write each page behind the place of its exponents, and those when the page is complete.

    ::

                      limit                       pointer
        buffer   ...beats|exponents|word 0|word 1|..
                          ^^^^^^^^^ written last; then the limit moves to the pointer

    A page ends with its R-th word or with the run. Wide words have no pages: the limit follows
    them. At the end of a run the limit stands still until ``end_taken``.

    =========== ==========================================================
    Latency     2 cycles from the last beat of a wide word, or of a page's
                exponents, to ``limit``, 3 to ``write``; 2 with short pipelines
    Throughput  1 beat, or a word if that is less, per cycle; a run of
                pages begins with a cycle of nothing
    Stall       mantissas, while the buffer is full and during exponents
    Golden      :func:`systolith_sim.dma.pages.pack_pages`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``array``, ``vector.lanes`` and ``bus``.

    Members
    -------
    i : In(stream of :func:`store_word`)
        Words, taken with their last beat. Wide words are not held up, and come only when there
        was ``room``; the last of a run, only when no other end waits.
    room : Out(1)
        One more wide word may be asked for.
    write : Out(beat_write)
        To the buffer.
    limit : Out(range(depth))
        The beats before it are complete, from the second cycle on.
    ended : Out(1)
        A run ends there.
    end_taken : In(1)
        Go on.
    read : In(range(depth))
        The oldest beat that is still needed.
    """

    i: stream.Interface
    room: Signal
    write: data.View
    limit: Signal
    ended: Signal
    end_taken: Signal
    read: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        self.shape = PageShape(config)
        super().__init__({
            "i": In(stream.Signature(store_word(config))),
            "room": Out(1),
            "write": Out(beat_write(config)),
            "limit": Out(self.shape.pointer_bits),
            "ended": Out(1),
            "end_taken": In(1),
            "read": In(self.shape.pointer_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        rows = self.config.array.rows
        grains = len(self.write.enable)
        fine = (grains - 1).bit_length()  # bits of a pointer below a beat
        pointer = Signal(self.shape.pointer_bits + fine)
        start = Signal.like(pointer)
        m.d.comb += self.limit.eq(start[fine:])

        space = Signal(init=1)
        used = Signal.like(self.limit)
        open_ = Signal()  # a page has been begun
        closing = Signal()  # all its words are here
        ending = Signal()  # and those of the run
        m.d.comb += [
            used.eq(pointer[fine:] - self.read),
            self.room.eq(space & ~open_),
        ]
        m.d.sync += space.eq(~used[(self.shape.slack - 1).bit_length() :].all())

        # One step per cycle: make place for exponents, write a piece of a word or of exponents.
        paged = self.i.p.kind == StoreKind.STREAM
        piece = Signal(range(max(self.shape.pieces)))
        turn = Signal(max(self.shape.pieces) // 2 or 1, init=1)  # a bit for each two pieces
        whole = Signal()
        able = Signal()
        word = Signal()
        begin = Signal()
        closed = Signal()
        position = Signal(range(rows))
        m.d.comb += [
            whole.eq(piece == Mux(paged | closing, *(count - 1 for count in self.shape.pieces))),
            able.eq(~paged | (open_ & ~closing & space)),
            word.eq(self.i.valid & able),
            self.i.ready.eq(able & whole),
            closed.eq(
                closing & (piece == self.shape.pieces[StoreKind.STREAM] - 1) & ~self.ended
            ),
            begin.eq(space & Mux(closing, closed & ~ending, self.i.valid & paged & ~open_)),
        ]
        with m.If((~open_ | closed) & ~self.ended):
            m.d.sync += [start.eq(pointer), self.ended.eq(ending), ending.eq(0)]
        with m.If(self.end_taken):
            m.d.sync += self.ended.eq(0)
        with m.If(word | (closing & ~self.ended)):
            m.d.sync += [
                piece.eq(Mux(whole, 0, piece + 1)),
                turn.eq(Mux(whole, 1, Mux(piece[:1].all(), turn << 1, turn))),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += ending.eq(self.i.p.last)
            with m.If(paged):
                full = self.i.p.last | (position == rows - 1)
                m.d.sync += [closing.eq(full), position.eq(Mux(full, 0, position + 1))]
        with m.If(begin | closed):
            m.d.sync += [open_.eq(begin), closing.eq(0)]

        self._elaborate_pointer(m, pointer, word, begin, paged)
        header = self._elaborate_exponents(m, position, ~open_ | closed, closing)
        self._elaborate_write(
            m, pointer, start + (piece << fine), header, word, open_, closing, piece, turn
        )
        return m

    def _grains(self, kind: int) -> int:
        """Return how many grains a piece of a word of ``kind`` takes."""
        beat = self.config.bus.data_bytes
        return min(beat, self.shape.word_bytes[kind]) // self.shape.grain_bytes

    def _elaborate_pointer(
        self, m: Module, pointer: Signal, word: Value, begin: Value, paged: Value
    ) -> None:
        """Move the pointer behind what is written, or the place of exponents; runs fill beats."""
        grains = len(self.write.enable)
        place = self.shape.word_bytes[StoreKind.STREAM] // self.shape.grain_bytes
        following = Signal.like(pointer)
        m.d.comb += following.eq(
            pointer + Mux(begin, place, Mux(paged, *(self._grains(kind) for kind in StoreKind)))
        )
        with m.If(word | begin):
            m.d.sync += pointer.eq(following)
            if grains > 1:
                with m.If(self.i.valid & self.i.ready & self.i.p.last):
                    m.d.sync += pointer.eq((following + grains - 1) & -grains)

    def _elaborate_exponents(
        self, m: Module, position: Value, clear: Value, closing: Value
    ) -> Value:
        """Gather the exponents of the page; return the beat of them that is next."""
        array = self.config.array
        exponents: Any = Signal(
            data.ArrayLayout(array.exponent_bits, array.rows), reset_less=True
        )
        in_beat = min(array.rows, self.config.bus.data_bytes)
        with m.If(self.i.valid & self.i.ready):
            for index in range(array.rows):
                with m.If(position == index):
                    m.d.sync += exponents[index].eq(self.i.p.exponent)
        with m.If(closing & ~self.ended):
            m.d.sync += exponents.eq(exponents.as_value() >> in_beat * array.exponent_bits)
        with m.If(clear):
            m.d.sync += exponents.eq(0)
        header = Signal(self._grains(StoreKind.STREAM) * self.shape.grain_bytes * 8)
        m.d.comb += header.eq(_spread([exponents[index] for index in range(in_beat)], 8))
        return header

    def _elaborate_write(
        self, m: Module, pointer: Value, place: Value, header: Value, word: Value,
        open_: Value, closing: Value, piece: Value, turn: Value,
    ) -> None:  # fmt: skip
        """Choose what goes to the buffer, and where; whether it does comes late.

        Of all pieces of a word one goes into a register, of which there is one for each kind, and
        in the next cycle one of these into another. Far from here they are, so it takes a cycle
        more, but with short pipelines: one of two stays, of those two whose turn it is. That is as
        late as it may be: :class:`.BurstBuffer` reads what is before ``limit`` from then on.
        """
        array = self.config.array
        mantissas = [
            self.i.p.mantissas.word_select(index, array.mantissa_bits).as_signed()
            for index in range(array.rows)
        ]
        mantissa_bytes = _spread(mantissas, array.mantissa_bytes * 8)
        at = Signal.like(pointer, reset_less=True)
        enable = Signal()
        m.d.sync += [
            at.eq(self._step(m, "at_step", Mux(closing, place, pointer))),
            enable.eq(self._step(
                m, "enable_step", Mux(closing, ~self.ended, word), reset_less=False
            )),
        ]
        wide = self.i.p.kind == StoreKind.WIDE
        fine = len(pointer) - len(self.write.address)
        m.d.sync += [self.write.eq(0), self.write.clear.eq(1)]
        for name, kind, now, beat in (
            ("header", StoreKind.STREAM, closing, self._step(m, "header_step", header)),
            ("wide", StoreKind.WIDE, ~closing & wide,
             self._piece(m, StoreKind.WIDE, self.i.p.wide, piece, turn)),
            ("word", StoreKind.STREAM, ~closing & ~wide & open_,
             self._piece(m, StoreKind.STREAM, mantissa_bytes, piece, turn)),
        ):  # fmt: skip
            chosen = Signal(name=f"{name}_chosen")
            held = Signal.like(beat, name=f"{name}_held", reset_less=True)
            now = self._step(m, f"{name}_now", now, reset_less=False)
            m.d.sync += [chosen.eq(now), held.eq(beat)]
            with m.If(chosen):
                m.d.sync += [self.write.clear.eq(0), self.write.address.eq(at[fine:])]
                self._put(m, at[:fine], kind, held, enable=enable, clear=name != "header")

    def _piece(
        self, m: Module, kind: StoreKind, word: Value, piece: Value, turn: Value
    ) -> Value:
        """Return the piece of the word that is written in this cycle, by way of registers."""
        count, bits = self.shape.pieces[kind], self._grains(kind) * self.shape.grain_bytes * 8
        pieces = [word.word_select(index, bits) for index in range(count)]
        if self.config.short_pipelines:
            return _select(pieces, piece[: (count - 1).bit_length()])
        found: Value = Const(0, bits)
        for first in range(0, count, 2):
            one = _select(pieces[first : first + 2], piece[:1])
            mine = one & turn[first // 2].replicate(bits)
            found |= self._step(m, f"{kind.name.lower()}_{first}", mine)
        return found

    def _step(
        self, m: Module, name: str, value: Value, *, reset_less: bool = True
    ) -> Value:
        """Return ``value`` from a register, or with short pipelines as it is."""
        if self.config.short_pipelines or not len(value):
            return value
        step = Signal(len(value), name=name, reset_less=reset_less)
        m.d.sync += step.eq(value)
        return step

    def _put(
        self, m: Module, lane: Value, kind: StoreKind, piece: Value, *, enable: Value, clear: bool
    ) -> None:
        """Write a piece at ``lane`` of its beat; ``clear`` the grains above it."""
        grains = self._grains(kind)
        bits = self.shape.grain_bytes * 8
        slot = lane[(grains - 1).bit_length() :]
        for index in range(len(self.write.enable)):
            mine = slot == index // grains
            here = piece[index % grains * bits :][:bits]
            m.d.sync += [
                self.write.data.word_select(index, bits).eq(Mux(mine, here, 0)),
                self.write.enable[index].eq(
                    enable & ((slot <= index // grains) if clear else mine)
                ),
            ]


def _select(values: list[Value], index: Value) -> Value:
    """Return the value that ``index`` says."""
    return Value.cast(Array(values)[index]) if len(values) > 1 else values[0]


def _spread(values: Iterable[Value], bits: int) -> Value:
    """Return the values side by side, each extended to ``bits`` bits, by its sign if it has one."""
    return Cat(
        Cat(value, (value[-1] if value.shape().signed else Const(0)).replicate(bits - len(value)))
        for value in values
    )
