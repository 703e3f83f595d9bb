"""Where the vector unit's pipeline begins, and the only place where it waits."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import result_beat
from .datapath import EVENTS
from .drain import drain_beat

__all__ = ["Head"]


class Head(wiring.Component):
    """Join a beat with its sums, once everything behind has room for it.

    Nothing behind the head ever stalls, and words leave in the order of their beats, since

    * a beat of WIDE waits until all activation words before it are out: ``playback`` cycles;
    * a word's last beat waits until the word before it has been played back by the normaliser,
      which only a word that ends early after a longer one would notice: less than R / L cycles;
    * a word's last beat waits for a credit if the word goes into the stream.

    =========== ====================================================
    Latency     1 cycle from ``take`` to ``sums``
    Throughput  1 beat per cycle
    Stall       ``beats.ready`` and ``results.ready`` come combinationally from both ``valid``
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes.
    credits : int
        Words that the stream's FIFO holds.
    playback : int
        Cycles from a full word's last beat in the normaliser to the word.

    Members
    -------
    beats : In(stream of drain_beat(config))
        What to do.
    results : In(stream of result_beat(config))
        Their sums.
    halt : In(1)
        Take nothing, from the next cycle on.
    freed : In(1)
        A word has left the stream's FIFO.
    waiting : In(1)
        No beat is here because of a semaphore.
    take : Out(1)
        A beat is taken.
    sums : Out(result_beat(config))
        The sums of the beat taken in the cycle before.
    empty : Out(1)
        No word is in the stream's FIFO or on its way into it.
    events : Out(EVENTS)
        For the counters.
    """

    beats: stream.Interface
    results: stream.Interface
    halt: Signal
    freed: Signal
    waiting: Signal
    take: Signal
    sums: data.View
    empty: Signal
    events: data.View

    def __init__(self, config: Config, credits: int, playback: int) -> None:
        self.config = config
        self.credits = credits
        self.playback = playback
        super().__init__({
            "beats": In(stream.Signature(drain_beat(config))),
            "results": In(stream.Signature(result_beat(config))),
            "halt": In(1),
            "freed": In(1),
            "waiting": In(1),
            "take": Out(1),
            "sums": Out(result_beat(config)),
            "empty": Out(1),
            "events": Out(EVENTS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        beat = self.beats.payload
        word_end = beat.end & ~beat.wide

        # Results wait far from here, so what decides about them are few registers.
        halted = Signal(attrs={"keep": 1})  # nor is this one for others
        credits = Signal(range(self.credits + 1), init=self.credits)
        credit = Signal(init=1)  # there is one
        room, clear = Signal(), Signal()
        m.d.comb += [
            room.eq(~(beat.stream & beat.end) | credit),
            clear.eq(room & self._in_order(m, word_end) & ~halted),
            self.beats.ready.eq(clear & self.results.valid),
            self.take.eq(self.beats.valid & self.beats.ready),
            self.results.ready.eq(clear & self.beats.valid),
            self.empty.eq(credits == self.credits),
            self.events.busy.eq(self.take),
            self.events.wait_semaphore.eq(self.waiting),
            self.events.wait_result.eq(self.beats.valid & ~self.results.valid),
            self.events.wait_store.eq(self.beats.valid & self.results.valid & ~room),
        ]
        spent = self.take & beat.end & beat.stream
        m.d.sync += [
            halted.eq(self.halt),
            credits.eq(credits - spent + self.freed),
            credit.eq(credits[1:].any() | (credits[0] & ~spent) | self.freed),
        ]

        sums: Any = Signal(self.sums.shape(), reset_less=True)
        m.d.sync += sums.eq(self.results.payload)
        m.d.comb += self.sums.eq(sums)
        return m

    def _in_order(self, m: Module, word_end: Value) -> Value:
        """Return whether the words of this beat and of those before keep their order."""
        beat = self.beats.payload
        in_order = ~(beat.wide & self._count_down(m, word_end, Const(self.playback)))
        if self.config.tiles_per_group > 1:  # only then can a word end early
            in_order &= ~(word_end & self._count_down(m, word_end, beat.index))
        return in_order

    def _count_down(self, m: Module, word_end: Value, cycles: Value) -> Signal:
        """Return whether so many ``cycles`` have not yet passed since a word's last beat."""
        left = Signal.like(cycles)
        some = Signal()
        with m.If(self.take & word_end):
            m.d.sync += [left.eq(cycles), some.eq(cycles.any())]
        with m.Else():
            m.d.sync += [left.eq(left - left.any()), some.eq(left[1:].any())]
        return some
