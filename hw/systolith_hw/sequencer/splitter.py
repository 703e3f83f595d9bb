"""Cuts wide beats into the words of the program memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import read_beat
from ..isa import WORD_BITS

__all__ = ["BeatSplitter"]


class BeatSplitter(wiring.Component):
    """Cuts wide beats into 64-bit words, lowest first.

    =========== ==========================================================
    Latency     1 cycle from a beat to its first word
    Throughput  1 word per cycle, without a gap between beats
    Stall       ``i.ready`` depends combinationally on ``o.ready``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus.data_bytes``, more than 8.

    Members
    -------
    i : In(stream of :func:`~systolith_hw.interfaces.read_beat`)
        Beats.
    o : Out(stream of word and error)
        Words; each has its beat's ``error``.
    drop : In(1)
        Throw away what is inside and everything that comes.
    """

    i: Any
    o: Any
    drop: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(read_beat(config))),
            "o": Out(stream.Signature(data.StructLayout({"data": WORD_BITS, "error": 1}))),
            "drop": In(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        words = self.config.bus.data_bytes * 8 // WORD_BITS

        beat: Any = Signal(read_beat(self.config), reset_less=True)
        left = Signal(range(words + 1))
        m.d.comb += [
            self.o.valid.eq(left != 0),
            self.o.payload.data.eq(beat.data[:WORD_BITS]),
            self.o.payload.error.eq(beat.error),
            self.i.ready.eq((left == 0) | ((left == 1) & self.o.ready) | self.drop),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [left.eq(left - 1), beat.data.eq(beat.data >> WORD_BITS)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [left.eq(words), beat.eq(self.i.payload)]
        with m.If(self.drop):
            m.d.sync += left.eq(0)

        return m
