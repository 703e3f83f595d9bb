"""Where the beats of VECTOR and ROW become one stream, a block at a time."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import HEAD_CHANNELS, Config
from .beat import MARKS, beat, marks_of
from .exponent_watch import ExponentWatch
from .operation import Operation

__all__ = ["TURNSTILE_EVENTS", "Turnstile", "shared_words"]

TURNSTILE_EVENTS = data.StructLayout({"wait_result": 1, "wait_store": 1})
"""What keeps VECTOR's next block out: its sums, or room in the stream."""


def shared_words(config: Config) -> int:
    """Return how many words at most share an exponent."""
    return -(-HEAD_CHANNELS // config.array.rows)


class Turnstile(wiring.Component):
    """Let blocks of VECTOR and of ROW through, each only if nothing can hold it up.

    ::

        vector ─┬─[ sums, credit ]──►┐
        row ────┴───────────────────►┴─►[ register ]──► o, to the head

    A block of VECTOR begins when all its sums have arrived, and if it goes into the stream, when
    there are credits for its words: one, or as many as may share an exponent. So the datapath is
    never kept by a block that waits for the array or for STORE. When both have a block, that one
    goes which was not there last, VECTOR first; but VECTOR whenever the array's FIFO is half full,
    since a block of ROW can be longer.

    Wide memory has one port for reading. A beat of ``centre`` reads when it is taken, one of
    ``add`` so many cycles later; the first waits where both would read.

    =========== ==========================================================================
    Latency     1 cycle
    Throughput  1 beat per cycle
    Stall       ``vector.ready`` and ``row.ready`` come combinationally from ``o.ready`` and
                from both ``valid``
    =========== ==========================================================================

    Parameters
    ----------
    config : Config
        Shapes.
    credits : int
        Words that the stream's FIFO holds, at least :func:`shared_words`.
    addition : int
        Cycles from taking a beat of ``add`` to reading what is added, at least 1.
    flight : int
        Cycles from taking a beat until all that it writes may be read.
    number_flight : int
        The same for a beat of BEST, CANDIDATES or SAMPLE, until it is where numbers are made.
    wide_flight : int
        The same for wide memory, and a beat of ``add`` which the loop makes that waits for
        ``wide_written``: so many cycles fewer as that takes.

    Members
    -------
    vector, row : In(stream of beat(config))
        Beats of DRAIN, each of which takes a beat of sums but for STRAIGHT, and of SAMPLE, which
        take none; those of NORM and SOFTMAX. Blocks must come without waiting for anything once
        they have begun.
    o : Out(stream of beat(config))
        Beats of both; once valid it stays, but for the cycles in which ``adding`` is set.
    marks : Out(MARKS)
        Of the beat (:func:`.marks_of`): registers, since the gate has little time for them.
    arrived : In(1)
        A beat of sums is, or will be within a few cycles, where the head takes it.
    freed : In(1)
        A word has left the stream's FIFO.
    exponent : In(1)
        An exponent of a key may be read so many cycles from now on as
        :class:`.ExponentWatch` says.
    reads : Out(1)
        The beat of ``o`` is one of ``centre``, which reads, but for the cycles in which ``adding``
        is set; a register, since wide memory is far away.
    adding : Out(1)
        The beat of ``add`` that was taken ``addition`` cycles ago reads wide memory.
    empty : Out(1)
        No word is in the stream's FIFO, or on its way into it from a beat that was taken.
    numbers_written, row_written : Out(1)
        Taken beats of BEST, CANDIDATES and SAMPLE have come to where numbers are made; what those
        of ROW write to wide memory may be read.
    wide_written : Out(1)
        A beat of ``add`` that a loop makes from now on finds what taken beats of VECTOR write to
        wide memory, but for numbers of BEST.
    exponents_written : Out(1)
        The same of the exponents of keys, and any beat. Those of values are read by SOFTMAX alone,
        behind a beat that waits in the gate until the values' mantissas are out.
    events : Out(TURNSTILE_EVENTS)
        For the counters.
    """

    vector: stream.Interface
    row: stream.Interface
    o: stream.Interface
    marks: data.View
    arrived: Signal
    freed: Signal
    reads: Signal
    adding: Signal
    empty: Signal
    numbers_written: Signal
    row_written: Signal
    wide_written: Signal
    exponent: Signal
    exponents_written: Signal
    events: data.View

    def __init__(
        self, config: Config, *, credits: int, addition: int, flight: int, number_flight: int,
        wide_flight: int,
    ) -> None:  # fmt: skip
        self.config = config
        self.credits = credits
        self.addition = addition
        self.flight = flight
        self.number_flight = number_flight
        self.wide_flight = wide_flight
        beats = stream.Signature(beat(config))
        super().__init__({
            "vector": In(beats),
            "row": In(beats),
            "o": Out(beats),
            "marks": Out(MARKS),
            **dict.fromkeys(("arrived", "freed", "exponent"), In(1)),
            **dict.fromkeys(("reads", "adding", "empty"), Out(1)),
            **dict.fromkeys(("numbers_written", "row_written"), Out(1)),
            **dict.fromkeys(("wide_written", "exponents_written"), Out(1)),
            "events": Out(TURNSTILE_EVENTS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        vector, row = self.vector.payload, self.row.payload
        opened, of_row = Signal(), Signal(init=1)  # inside a block; it, or the last one, is ROW's
        enters, takes_row, moves = Signal(), Signal(), Signal()
        # The first pass leaves them.
        takes_sums = enters & vector.results & (vector.operation != Operation.STRAIGHT)
        enough, urgent = self._elaborate_sums(m, takes_sums)
        credit, many = self._elaborate_credits(m, enters & vector.end & vector.to_stream)

        room = ~vector.room | Mux(vector.shared, many, credit)
        may_enter = Mux(opened, ~of_row, enough & room)
        vector_waits = self.vector.valid & may_enter
        row_waits = self.row.valid & (of_row | ~opened)
        free = Signal()
        m.d.comb += [
            takes_row.eq(row_waits & (opened | ~vector_waits | ~(of_row | urgent))),
            self.row.ready.eq(free & takes_row),
            self.vector.ready.eq(free & may_enter & ~takes_row),
            enters.eq(self.vector.valid & self.vector.ready),
            moves.eq(free & (vector_waits | row_waits)),
            self.events.wait_result.eq(self.vector.valid & ~opened & ~enough),
            self.events.wait_store.eq(self.vector.valid & ~opened & enough & ~room),
        ]
        offered = Signal()
        chosen: Any = Signal(beat(self.config), reset_less=True)
        with m.If(moves):
            m.d.sync += [
                opened.eq(~Mux(takes_row, row.block_end, vector.block_end)),
                of_row.eq(takes_row),
            ]
        marks: Any = Signal(MARKS, reset_less=True)
        of_vector = marks_of(vector)
        with m.If(free):
            m.d.sync += [
                offered.eq(moves), chosen.eq(Mux(takes_row, row, vector)),
                self.reads.eq(moves & Mux(takes_row, row.centre, vector.centre)),
            ]  # fmt: skip
            m.d.sync += [
                marks[name].eq(Mux(takes_row, value, of_vector[name]))
                for name, value in marks_of(row).items()
            ]
        m.d.comb += self.marks.eq(marks)
        self._elaborate_offer(m, offered, chosen, free)
        self._elaborate_written(m, offered, chosen)
        return m

    def _elaborate_sums(self, m: Module, taken: Value) -> tuple[Value, Signal]:
        """Count beats of sums that have arrived; return whether there are enough for a block, and
        whether so many that the array might have to wait."""
        config = self.config
        # The FIFO's own, and some in registers behind it.
        most = config.array.output_depth * config.beats_per_result + 8
        there, urgent = Signal(range(most + 1)), Signal()
        m.d.sync += [
            # What is known late chooses between two sums.
            there.eq(Mux(taken, there + self.arrived - 1, there + self.arrived)),
            urgent.eq(there >= config.array.output_depth * config.beats_per_result // 2),
        ]
        beat = self.vector.payload
        return (there > beat.more) | ~beat.results, urgent

    def _elaborate_credits(self, m: Module, spent: Value) -> tuple[Signal, Signal]:
        """Count room in the stream's FIFO; return, from registers, whether there is some, and
        whether there is enough for all words that share an exponent."""
        credits = Signal(range(self.credits + 1), init=self.credits)
        credit, many = Signal(init=1), Signal(init=1)
        enough = shared_words(self.config)
        m.d.sync += [
            # What is known late chooses between two sums.
            credits.eq(Mux(spent, credits + self.freed - 1, credits + self.freed)),
            credit.eq(credits[1:].any() | (credits[0] & ~spent) | self.freed),
            many.eq(Mux(spent, credits > enough, credits >= enough)),
        ]
        m.d.comb += self.empty.eq(credits == self.credits)
        return credit, many

    def _elaborate_offer(self, m: Module, offered: Value, chosen: Any, free: Signal) -> None:
        """Offer the chosen beat, but not while another one's addition reads wide memory."""
        additions = Signal(self.addition)
        taken = self.o.valid & self.o.ready
        m.d.sync += additions.eq(Cat(taken & chosen.add, additions))
        m.d.comb += [
            self.adding.eq(additions[-1]),
            self.o.payload.eq(chosen),
            self.o.valid.eq(offered & ~(self.reads & self.adding)),
            free.eq(~offered | taken),
        ]

    def _elaborate_written(self, m: Module, offered: Value, chosen: Any) -> None:
        """Count the cycles since a beat that writes was here."""
        writers = (
            ("number", self.numbers_written, chosen.to_best | chosen.to_sampler,
             self.number_flight),
            ("row", self.row_written, chosen.row_unit & chosen.to_wide, self.flight),
            ("wide", self.wide_written, ~chosen.row_unit & chosen.to_wide, self.wide_flight),
        )
        for name, written, writes, flight in writers:
            left = Signal(range(flight + 1), name=f"left_{name}")
            here = offered & writes
            with m.If(here):
                m.d.sync += left.eq(flight)
            with m.Elif(left.any()):
                m.d.sync += left.eq(left - 1)
            m.d.comb += written.eq(~here & ~left.any())
        m.submodules.exponents = exponents = ExponentWatch(self.flight)
        keys = chosen.to_keys
        m.d.comb += [
            exponents.begun.eq(self.o.valid & self.o.ready & keys & chosen.block_end),
            exponents.done.eq(self.exponent),
            self.exponents_written.eq(exponents.all_done & ~(offered & keys)),
        ]
