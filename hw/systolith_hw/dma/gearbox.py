"""Change the width of a stream of words: cut words into pieces, join pieces into words."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Joiner", "Packer", "Splitter"]


class Splitter(wiring.Component):
    """Cut each word into pieces, the low bytes first.

    What words and pieces measure depends on ``kind``: words of ``words[kind]`` bytes, pieces of
    ``pieces[kind]`` bytes. All sizes are powers of two.

    =========== ==========================================================
    Latency     1 cycle
    Throughput  1 piece per cycle
    Stall       ``i.ready`` depends combinationally on ``o.ready``
    Golden      concatenating the pieces gives the words
    =========== ==========================================================

    Parameters
    ----------
    words, pieces : sequence of int
        Bytes of a word and of a piece, for each kind.
    tag : ShapeLike
        What travels beside each word.

    Members
    -------
    i : In(stream of ``data``, ``tag``)
        Words, in the low bytes of ``data``.
    kind : In(range(kinds))
        The kind of the word whose pieces are at ``o``.
    skip : In(1)
        The piece at ``o`` is the last of its word that matters.
    o : Out(stream of ``data``, ``tag``, ``last``)
        Pieces, in the low bytes of ``data``; ``last`` with the last of a word.
    """

    i: stream.Interface
    kind: Signal
    skip: Signal
    o: stream.Interface

    def __init__(self, words: Sequence[int], pieces: Sequence[int], tag) -> None:
        self.words = tuple(words)
        self.pieces = tuple(pieces)
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"data": max(words) * 8, "tag": tag}))),
            "kind": In(range(len(self.words))),
            "skip": In(1),
            "o": Out(stream.Signature(
                data.StructLayout({"data": max(pieces) * 8, "tag": tag, "last": 1})
            )),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()

        counts = [word // piece for word, piece in zip(self.words, self.pieces, strict=True)]
        rest = Signal(max(self.words) * 8)
        index = Signal(range(max(counts)))
        last = Signal()
        m.d.comb += [
            self.o.p.data.eq(rest),
            self.o.p.last.eq(last | self.skip),
            self.i.ready.eq(~self.o.valid | (self.o.ready & self.o.p.last)),
        ]
        shifted = Signal.like(rest)
        with m.Switch(self.kind):
            for kind, (count, piece) in enumerate(zip(counts, self.pieces, strict=True)):
                with m.Case(kind):
                    m.d.comb += [last.eq(index == count - 1), shifted.eq(rest >> piece * 8)]

        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                rest.eq(self.i.p.data),
                self.o.p.tag.eq(self.i.p.tag),
                index.eq(0),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += [rest.eq(shifted), index.eq(index + 1)]

        return m


class Joiner(wiring.Component):
    """Join pieces into words, the first piece in the low bytes.

    A piece with ``last`` completes its word early; the bytes above it are zero.

    =========== ==========================================================
    Latency     1 cycle from the last piece of a word
    Throughput  1 piece per cycle
    Stall       ``i.ready`` depends combinationally on ``o.ready``
    Golden      concatenating the words gives the pieces and their padding
    =========== ==========================================================

    Parameters
    ----------
    pieces : sequence of int
        Bytes of a piece, for each kind.
    word : int
        Bytes of a word.

    Members
    -------
    i : In(stream of ``data``, ``kind``, ``last``)
        Pieces, in the low bytes of ``data``.
    o : Out(stream of ``data``, ``last``)
        Words; ``last`` came with the last piece.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, pieces: Sequence[int], word: int) -> None:
        self.pieces = tuple(pieces)
        self.word = word
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({
                "data": max(pieces) * 8, "kind": range(len(self.pieces)), "last": 1,
            }))),
            "o": Out(stream.Signature(data.StructLayout({"data": word * 8, "last": 1}))),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()

        index = Signal(range(max(self.word // piece for piece in self.pieces)))
        complete = Signal()
        accept = Signal()
        m.d.comb += [
            self.i.ready.eq(~self.o.valid | self.o.ready),
            accept.eq(self.i.valid & self.i.ready),
        ]
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(accept & (complete | self.i.p.last))
        with m.If(accept):
            m.d.sync += [
                self.o.p.last.eq(self.i.p.last),
                index.eq(Mux(complete | self.i.p.last, 0, index + 1)),
            ]
            # The first piece clears what the last word left above it.
            with m.If(index == 0):
                m.d.sync += self.o.p.data.eq(0)
        with m.Switch(self.i.p.kind):
            for kind, piece in enumerate(self.pieces):
                with m.Case(kind):
                    count = self.word // piece
                    m.d.comb += complete.eq(index == count - 1)
                    with m.If(accept):
                        for slot in range(count):
                            with m.If(index == slot):
                                m.d.sync += self.o.p.data.word_select(slot, piece * 8).eq(
                                    self.i.p.data
                                )

        return m


class Packer(wiring.Component):
    """Turn words of several sizes into beats of one size, as a stream of bytes.

    ::

        words ──►[ splitter ]──►[ joiner ]──► beats
                 if a word is    if a word is
                 more than a     less than a
                 beat            beat

    A word with ``last`` completes its beat; the bytes above it are zero.

    =========== ==========================================================
    Latency     1 cycle for each of the two parts that there are
    Throughput  1 beat per cycle, or 1 word if that is less
    Stall       ``i.ready`` depends combinationally on ``o.ready``
    =========== ==========================================================

    Parameters
    ----------
    words : sequence of int
        Bytes of a word, for each kind; powers of two.
    beat : int
        Bytes of a beat; a power of two.

    Members
    -------
    i : In(stream of ``data``, ``kind``, ``last``)
        Words, in the low bytes of ``data``.
    o : Out(stream of ``data``, ``last``)
        Beats.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, words: Sequence[int], beat: int) -> None:
        self.words = tuple(words)
        self.beat = beat
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({
                "data": max(words) * 8, "kind": range(len(self.words)), "last": 1,
            }))),
            "o": Out(stream.Signature(data.StructLayout({"data": beat * 8, "last": 1}))),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()

        pieces = [min(self.beat, word) for word in self.words]
        source = self.i
        if max(self.words) > self.beat:
            tag = data.StructLayout({"kind": range(len(self.words)), "last": 1})
            m.submodules.splitter = splitter = Splitter(self.words, pieces, tag)
            source = stream.Signature(data.StructLayout({
                "data": max(pieces) * 8, "kind": range(len(self.words)), "last": 1,
            })).create(path=("piece",))  # fmt: skip
            m.d.comb += [
                splitter.i.p.data.eq(self.i.p.data),
                splitter.i.p.tag.kind.eq(self.i.p.kind),
                splitter.i.p.tag.last.eq(self.i.p.last),
                splitter.i.valid.eq(self.i.valid),
                self.i.ready.eq(splitter.i.ready),
                splitter.kind.eq(splitter.o.p.tag.kind),
                source.p.data.eq(splitter.o.p.data),
                source.p.kind.eq(splitter.o.p.tag.kind),
                source.p.last.eq(splitter.o.p.tag.last & splitter.o.p.last),
                source.valid.eq(splitter.o.valid),
                splitter.o.ready.eq(source.ready),
            ]
        sink = self.o
        if min(pieces) < self.beat:
            m.submodules.joiner = joiner = Joiner(pieces, self.beat)
            m.d.comb += [
                self.o.payload.eq(joiner.o.payload),
                self.o.valid.eq(joiner.o.valid),
                joiner.o.ready.eq(self.o.ready),
                joiner.i.p.kind.eq(source.p.kind),
            ]
            sink = joiner.i
        m.d.comb += [
            sink.p.data.eq(source.p.data),
            sink.p.last.eq(source.p.last),
            sink.valid.eq(source.valid),
            source.ready.eq(sink.ready),
        ]
        return m
