"""Cut words into pieces."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Splitter"]


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
