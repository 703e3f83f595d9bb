"""From fixed-point values to mantissas in their places, and the semaphores that tell of them."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import HEAD_CHANNELS, Config
from ..interfaces import (
    SemaphorePost,
    activation_word,
    entry_write,
    lane_write,
    word_write,
)
from ..sequencer.permit import semaphore
from ..stream.fifo import Fifo
from .beat import POSTS, beat
from .block_normalizer import BlockNormalizer
from .exact_exponent import block_beat
from .moments import mantissa_beat
from .operand_writer import OperandWriter, mantissa_write

__all__ = ["EARLY", "BlockWriter"]

EARLY = BlockNormalizer.lead
"""Cycles from a semaphore to the word that it tells of: fewer than it takes any unit to have it."""

LOGIC_DEPTH = 64
"""Queues of more words are block RAM: in an array of few rows or columns a head has many words."""


def block_write(config: Config) -> data.StructLayout:
    """Return the shape of what waits for a word under way: where it goes."""
    return data.StructLayout({**dict(mantissa_write(config).members), "stream": 1})


def block_posts() -> data.StructLayout:
    """Return the shape of what is given with it, and for which unit."""
    return data.StructLayout({"row_unit": 1, **dict.fromkeys(POSTS, semaphore())})


class BlockWriter(wiring.Component):
    """Normalise blocks, and write their words, operands and exponents.

    ::

        i ────────────►[ BlockNormalizer ]──┬─► measured
                                            └─►[ OperandWriter ]─┬─► words, lanes, entries
        take, beat ───►[ writes ]──────────────►                 └─►[ queue ]─► stream

    What is known of a word waits from its being taken until its mantissas come.

    =========== ====================================================
    Latency     9 cycles from a block's last values to its first mantissas
    Throughput  1 beat per cycle; never stalls. Those who take beats keep blocks apart
                (:class:`.BlockGap`) and have credits for the stream
    Golden      :mod:`systolith_sim.machine.vector.destinations`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes.
    flight : int
        Most cycles from a beat's being taken to its values.
    credits : int
        Words that the stream's queue holds.

    Members
    -------
    take : In(1), beat : In(beat(config))
        A beat is taken.
    i : In(stream of block_beat(config), always ready)
        Values, of beats that are not for wide memory alone.
    words : Out(stream of word_write(config), always ready)
        Activation words and keys.
    lanes : Out(stream of lane_write(config), always ready)
        Values.
    entries : Out(stream of entry_write(config), always ready)
        Exponents of keys and values.
    key_told : Out(1)
        The exponent of a key is one of them.
    stream : Out(stream of activation_word(config)), freed : Out(1)
        Words for STORE; one has left, in the cycle before.
    measured : Out(stream of mantissa_beat(config), always ready)
        For NORM's moments.
    post_inner, post_outer, row_post_inner, row_post_outer : Out(SemaphorePost)
        Of VECTOR and of ROW, :data:`EARLY` cycles before the word that they tell of is written.
        What tells of a factor is given elsewhere: all of SOFTMAX but an ``early`` inner one, and
        deferred NORM's outer one.
    saturated : Out(lanes), flushed : Out(1)
        As in the normaliser.
    empty : Out(1)
        All words are out, but for those in the stream's queue.
    """

    take: Signal
    beat: data.View
    i: stream.Interface
    words: stream.Interface
    lanes: stream.Interface
    entries: stream.Interface
    key_told: Signal
    measured: stream.Interface
    stream: stream.Interface
    freed: Signal
    post_inner: Any
    post_outer: Any
    row_post_inner: Any
    row_post_outer: Any
    saturated: Signal
    flushed: Signal
    empty: Signal

    def __init__(self, config: Config, *, flight: int, credits: int) -> None:
        self.config = config
        self.flight = flight
        self.credits = credits
        posts = [f"{unit}{name}" for unit in ("", "row_") for name in POSTS]
        super().__init__({
            "take": In(1),
            "beat": In(beat(config)),
            "i": In(stream.Signature(block_beat(config), always_ready=True)),
            "words": Out(stream.Signature(word_write(config), always_ready=True)),
            "lanes": Out(stream.Signature(lane_write(config), always_ready=True)),
            "entries": Out(stream.Signature(entry_write(config), always_ready=True)),
            "key_told": Out(1),
            "stream": Out(stream.Signature(activation_word(config))),
            "freed": Out(1),
            "measured": Out(stream.Signature(mantissa_beat(config), always_ready=True)),
            **{name: Out(SemaphorePost()) for name in posts},
            "saturated": Out(config.vector.lanes),
            "flushed": Out(1),
            "empty": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.normalizer = normalizer = BlockNormalizer(config)
        m.submodules.writer = writer = OperandWriter(config)
        connect(m, flipped(self.i), normalizer.i)
        connect(m, normalizer.measured, flipped(self.measured))
        connect(m, normalizer.words, writer.word)
        connect(m, normalizer.rows, writer.row)
        for ours, its in (("words", "words"), ("lanes", "rows"), ("entries", "exponents")):
            connect(m, getattr(writer, its), flipped(getattr(self, ours)))

        writes, told = self._elaborate_writes(m)
        write: Any = Signal(block_write(config), reset_less=True)
        with m.If(normalizer.coming):
            m.d.sync += write.eq(writes.o.payload)
        m.d.comb += [
            writes.o.ready.eq(normalizer.ending),
            told.o.ready.eq(normalizer.early),
            *(writer.write[name].eq(write[name]) for name, _ in mantissa_write(config)),
            self.key_told.eq(writer.exponents.valid & writer.of_key),
            self.saturated.eq(normalizer.saturated),
            self.flushed.eq(normalizer.flushed),
            self.empty.eq(writes.empty),
        ]
        self._elaborate_posts(m, normalizer.early, told.o.payload)
        self._elaborate_stream(m, normalizer.words, write.stream)
        return m

    def _elaborate_writes(self, m: Module) -> tuple[Fifo, Fifo]:
        """Add the queues of what is known of words under way, and of whom to tell."""
        config = self.config
        flight = self.flight + BlockNormalizer.latency
        smallest = min(config.array.rows, config.array.columns)
        # A word may be a single beat, and all those of a head come before its mantissas do.
        waiting = flight + HEAD_CHANNELS // smallest + 3
        # A power of two keeps comparisons off the pointers.
        depth = 1 << (waiting - 1).bit_length()
        style: Any = "distributed" if depth <= LOGIC_DEPTH else "block"
        m.submodules.writes = writes = Fifo(block_write(config), depth, style=style)
        m.submodules.told = told = Fifo(block_posts(), depth, style=style)
        beat: Any = self.beat
        entry: Any = writes.i.payload
        written = beat.to_words | beat.to_stream | beat.to_keys | beat.to_values
        m.d.comb += [
            writes.i.valid.eq(self.take & beat.end & written),
            *(entry[name].eq(beat[name]) for name, _ in mantissa_write(config)),
            entry.stream.eq(beat.to_stream),
            told.i.valid.eq(writes.i.valid),
            told.i.payload.row_unit.eq(beat.row_unit),
        ]
        tell_factor = (beat.sum & ~beat.early, beat.sum | beat.measure)
        for name, elsewhere in zip(POSTS, tell_factor, strict=True):
            m.d.comb += [
                told.i.payload[name].id.eq(beat[name].id),
                told.i.payload[name].present.eq(beat[name].present & ~elsewhere),
            ]
        return writes, told

    def _elaborate_posts(self, m: Module, ending: Value, write: Any) -> None:
        """Give semaphores, when a word's last mantissas are about to come."""
        for name in POSTS:
            port, row_port = getattr(self, name), getattr(self, f"row_{name}")
            given = Signal.like(write[name].id, name=f"{name}_id", reset_less=True)
            m.d.sync += [
                port.valid.eq(ending & write[name].present & ~write.row_unit),
                row_port.valid.eq(ending & write[name].present & write.row_unit),
                given.eq(write[name].id),
            ]
            m.d.comb += [port.id.eq(given), row_port.id.eq(given)]

    def _elaborate_stream(self, m: Module, words: Any, into: Value) -> None:
        """Queue words for STORE."""
        # With its last place free a queue may still be unready for a cycle, and nobody waits.
        m.submodules.queue = queue = Fifo(activation_word(self.config), self.credits + 1)
        connect(m, queue.o, flipped(self.stream))
        m.d.sync += self.freed.eq(queue.o.valid & queue.o.ready)
        m.d.comb += [
            queue.i.valid.eq(words.valid & into),
            queue.i.payload.eq(words.payload),
        ]
