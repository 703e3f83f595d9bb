"""The vector unit's datapath with functions, additions, rows and operands: a beat per cycle."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import HEAD_CHANNELS, Config
from ..interfaces import SemaphorePost, lane_write
from ..isa import SLOT_BITS
from ..memory.wide import WideRead
from ..sampling.candidate import task
from ..sampling.sampler import Sampler
from ..sequencer.permit import semaphore
from ..tables import FRACTION
from .ages import Ages
from .beat import POSTS, beat
from .best_channel import best_begin
from .block_normalizer import BlockNormalizer
from .block_writer import BlockWriter
from .datapath import EVENTS, Datapath, count, stream_credits
from .gate import Gate
from .operation import Operation
from .row_loop import row_constants
from .row_statistics import RowStatistics
from .turnstile import Turnstile, shared_words
from .value_path import ValuePath
from .wide_writer import WideWriter

__all__ = ["RowPipeline"]

WIDE_WRITE = 3
"""Cycles from a wide word's leaving the unit until it may be read (:class:`.WideMemory`)."""

LOOP_CYCLES = 4
"""Cycles from ``wide_written`` until a beat is taken for which a loop has waited, at least."""

ABOUT = (
    "to_wide", "to_best", "to_sampler", "sample", "to_words", "shared", "to_values", "measure",
    "maximum", "sum", "end", "block_end", "row_begin", "row_end", "base", "counted", "row", "wide",
)  # fmt: skip
"""What is still of interest of a beat when its values are there."""


class RowPipeline(Datapath):
    """Carry out the beats of VECTOR and ROW.

    ::

        beats ─────┐                               ┌───►[ WideWriter ]────► wide
        row_beats ─┴►[ Turnstile ]─►[ Gate ]       │   ┌►[ RowStatistics ]
                                       ▼           │   │       ▲
        results ───────────────────►[ ValuePath ]──┴───┴►[ BlockWriter ]──► words, lanes, stream
        wide_read ─────────────────────┘

    Only the turnstile and the gate wait: nothing behind them ever stalls.

    =========== ====================================================
    Latency     from taking a beat: ``ValuePath.short`` or ``long`` cycles to ``wide``; from the
                last beat of a block: those and 9 to its first mantissas
    Throughput  1 beat per cycle
    Stall       no combinational path from a stream to another
    Golden      :mod:`systolith_sim.machine.vector`, :mod:`systolith_sim.machine.row`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        The one description.
    target : str
        "generic", "ecp5" or "ice40": for the multipliers.

    Members
    -------
    Those of :func:`~systolith_hw.vector.datapath.datapath_ports`, with beats of another shape, and

    row_beats : In(stream of beat(config))
        Of NORM and SOFTMAX.
    constants : In(row_constants()), made : Out(1)
        From and for their loops.
    best : In(best_begin()), sampling : In(task()), measured : Out(1)
        From and for the loops of DRAIN.
    number : Out(16), number_told : Out(1)
        Of BEST or SAMPLE, the last one.
    numbers_written, row_written, wide_written, exponents_written : Out(1)
        As in the turnstile.
    lanes : Out(stream of lane_write(config), always ready)
        Rows of values.
    wide_read : Out(WideRead(config))
        Wide memory, for additions and rows; always granted.
    arrived : In(1)
        A beat of sums is on its way to ``results``.
    row_post_inner, row_post_outer : Out(SemaphorePost)
        ROW's semaphores.
    row_waiting : In(1), row_events : Out(EVENTS)
        As ``waiting`` and ``events``, of ROW.
    """

    row_beats: stream.Interface
    lanes: stream.Interface
    wide_read: Any
    arrived: Signal
    constants: data.View
    best: data.View
    sampling: data.View
    made: Signal
    numbers_written: Signal
    row_written: Signal
    wide_written: Signal
    exponents_written: Signal
    number: Signal
    number_told: Signal
    measured: Signal
    row_post_inner: Any
    row_post_outer: Any
    row_waiting: Signal
    row_events: data.View

    def __init__(self, config: Config, target: str = "generic") -> None:
        super().__init__(config, target, {
            "beats": In(stream.Signature(beat(config))),
            "row_beats": In(stream.Signature(beat(config))),
            "constants": In(row_constants()),
            "best": In(best_begin()),
            "sampling": In(task()),
            "made": Out(1),
            "numbers_written": Out(1),
            "row_written": Out(1),
            "wide_written": Out(1),
            "exponents_written": Out(1),
            "measured": Out(1),
            "number": Out(SLOT_BITS),
            "number_told": Out(1),
            "lanes": Out(stream.Signature(lane_write(config), always_ready=True)),
            "wide_read": Out(WideRead(config)),
            "arrived": In(1),
            "row_post_inner": Out(SemaphorePost()),
            "row_post_outer": Out(SemaphorePost()),
            "row_waiting": In(1),
            "row_events": Out(EVENTS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.path = path = ValuePath(config, self.target)
        flight = path.long + BlockNormalizer.latency + HEAD_CHANNELS // config.vector.lanes
        credits = max(stream_credits(config, flight + 3), shared_words(config))
        m.submodules.turnstile = turnstile = Turnstile(
            config, credits=credits, addition=path.add - config.wide_latency,
            flight=flight + 6, number_flight=path.long + 2,
            wide_flight=path.long + WIDE_WRITE - LOOP_CYCLES
            - (path.add - config.wide_latency),
        )  # fmt: skip
        m.submodules.gate = gate = Gate(
            config, detour=path.detour, scale=path.late_scale_age - path.scale_age,
            bias=path.late_bias_age - path.bias_age,
        )  # fmt: skip
        m.submodules.statistics = statistics = RowStatistics(config, self.target)
        m.submodules.writer = writer = BlockWriter(
            config, flight=path.long, credits=credits
        )
        m.submodules.wide_writer = wide_writer = WideWriter(config)
        sampled = Signal()
        connect(m, flipped(self.beats), turnstile.vector)
        connect(m, flipped(self.row_beats), turnstile.row)
        connect(m, turnstile.o, gate.beats)
        connect(m, wide_writer.wide, flipped(self.wide))
        for name in ("words", "lanes", "stream"):
            connect(m, getattr(writer, name), flipped(getattr(self, name)))
        m.d.comb += [
            turnstile.arrived.eq(self.arrived),
            turnstile.freed.eq(writer.freed),
            self.numbers_written.eq(
                turnstile.numbers_written & wide_writer.settled & sampled
            ),
            self.row_written.eq(turnstile.row_written),
            self.wide_written.eq(turnstile.wide_written),
            self.exponents_written.eq(turnstile.exponents_written),
            turnstile.exponent.eq(writer.key_told),
            gate.marks.eq(turnstile.marks),
            gate.halt.eq(self.halt),
            writer.take.eq(gate.take),
            writer.beat.eq(turnstile.o.payload),
        ]
        self._elaborate_inputs(m, turnstile, gate, path, statistics)
        valid, about = self._elaborate_about(m, turnstile, path)
        if config.vector.candidates:
            self._elaborate_sampler(m, valid, about, path, gate, wide_writer, sampled)
        else:
            m.d.comb += sampled.eq(1)
        self._elaborate_wide(m, valid, about, path, wide_writer)
        self._elaborate_values(m, valid, about, path, statistics, writer)
        self._elaborate_posts(m, statistics, writer, wide_writer)
        self._elaborate_counts(m, valid & about.counts, turnstile, gate, path, writer)

        nothing = Signal()
        quiet = Signal(3)  # as long as it takes until all is counted, too
        m.d.comb += [
            nothing.eq(
                turnstile.empty & ~turnstile.o.valid & path.empty & ~valid & writer.empty
                & statistics.empty & wide_writer.empty & sampled
            ),
            self.empty.eq(nothing & quiet.all()),
        ]  # fmt: skip
        m.d.sync += quiet.eq(Cat(nothing, quiet))
        return m

    def _elaborate_inputs(
        self, m: Module, turnstile: Turnstile, gate: Gate, path: ValuePath,
        statistics: RowStatistics,
    ) -> None:  # fmt: skip
        """Bring to a beat what it works on, when it wants it."""
        beat = turnstile.o.payload
        ages = Ages(m, {
            "source": beat.source, "record": beat.record, "row": beat.row
        })
        connect(m, flipped(self.scale_writes), path.scale_writes)
        sums: Any = Signal(path.sums.shape(), reset_less=True)
        pop, popping = Signal(path.select - 2), Signal()  # sums come when they are chosen
        m.d.sync += [
            pop.eq(Cat(gate.take & beat.results & (beat.operation != Operation.STRAIGHT), pop)),
            popping.eq(pop[-1]),
            sums.eq(self.results.payload),
        ]
        m.d.comb += [
            statistics.task.valid.eq(gate.take & beat.row_end & (beat.sum | beat.measure)),
            statistics.task.payload.normal.eq(beat.measure),
            statistics.task.payload.record.eq(beat.measure & ~beat.to_words),
            statistics.task.payload.drained.eq(~beat.row_unit),
            *(statistics.task.payload[name].eq(beat[name]) for name in ("row", "base")),
            statistics.task.payload.post_outer.eq(beat.post_outer),
            statistics.task.payload.post_inner.id.eq(beat.post_inner.id),
            statistics.task.payload.post_inner.present.eq(
                beat.post_inner.present & beat.sum & ~beat.early
            ),
            path.take.eq(gate.take),
            path.beat.eq(beat),
            path.direct.eq(gate.direct),
            # There are some: the turnstile has counted them.
            self.results.ready.eq(popping),
            path.sums.eq(sums),
            # Whether the beat is taken now is known late; if it is not, it is read again.
            self.wide_read.enable.eq(turnstile.adding | turnstile.reads),
            self.wide_read.address.eq(
                Mux(turnstile.adding, ages.at("source", turnstile.addition), beat.source)
            ),
            path.wide.eq(self.wide_read.data),
            statistics.mean_record.eq(ages.at("record", path.select - 1)),
            statistics.factor_record.eq(ages.at("record", path.factor - 1)),
            statistics.factor_row.eq(ages.at("row", path.row_factor_age - 1)),
            statistics.reference_row.eq(ages.at("row", path.function - 1)),
            path.mean.eq(statistics.mean),
            path.record_factor.eq(statistics.record_factor),
            path.row_factor.eq(statistics.factor),
            path.reference.eq(statistics.reference),
        ]

    def _elaborate_about(
        self, m: Module, turnstile: Turnstile, path: ValuePath
    ) -> tuple[Signal, Any]:
        """Send along with a beat what is known of it; return "values are there", and that."""
        beat: Any = turnstile.o.payload
        shape = data.StructLayout({
            **{name: beat[name].shape() for name in ABOUT},
            "blocks": 1,
            "counts": 1,
            **dict.fromkeys(POSTS, semaphore()),
        })
        entering: Any = Signal(shape)
        m.d.comb += [
            *(entering[name].eq(beat[name]) for name in ABOUT),
            entering.blocks.eq(turnstile.marks.blocks),
            entering.counts.eq(~beat.row_unit & (beat.operation != Operation.STRAIGHT)),
        ]
        for name in POSTS:
            m.d.comb += [
                entering[name].id.eq(beat[name].id),
                entering[name].present.eq(beat[name].present & ~beat.row_unit & ~beat.measure),
            ]
        ages = Ages(m, {"about": entering})
        early, late = (ages.at("about", age - 1) for age in (path.short, path.long))
        valid = Signal()
        about: Any = Signal(shape, reset_less=True)
        m.d.sync += [
            valid.eq(path.valid_next),
            about.eq(Mux(path.short_next, early, late)),
        ]
        return valid, about

    def _elaborate_wide(
        self, m: Module, valid: Value, about: Any, path: ValuePath, wide_writer: WideWriter
    ) -> None:
        """Give values to the one who writes wide memory."""
        written = wide_writer.i.payload
        m.d.comb += [
            wide_writer.begin.eq(self.best),
            self.number.eq(wide_writer.number),
            self.number_told.eq(wide_writer.number_told),
            wide_writer.i.valid.eq(valid),
            *(written[name].eq(about[name])
              for name in ("to_wide", "to_best", "sample", "row_end", "wide", *POSTS)),
            written.tells.eq(about.to_sampler & ~about.sample & about.row_end),
            written.data.eq(path.o.data),
            *(written.keep[lane].eq(lane < about.counted)
              for lane in range(self.config.vector.lanes)),
        ]  # fmt: skip

    def _elaborate_sampler(
        self, m: Module, valid: Value, about: Any, path: ValuePath, gate: Gate,
        wide_writer: WideWriter, sampled: Signal,
    ) -> None:  # fmt: skip
        """Add what keeps values and chooses one; ``sampled``: it is done."""
        m.submodules.sampler = sampler = Sampler(self.config, self.target)
        connect(m, sampler.o, wide_writer.chosen)
        lanes = self.config.vector.lanes
        m.d.comb += [
            sampled.eq(sampler.empty),
            sampler.begin.eq(self.sampling),
            sampler.spent.eq(gate.take & gate.beats.payload.to_sampler),
            gate.room.eq(sampler.room),
            # SAMPLE has as many beats as any tile; its last one counts.
            sampler.i.valid.eq(valid & about.to_sampler),
            sampler.i.payload.sample.eq(about.sample & about.row_end),
            sampler.i.payload.values.eq(path.o.data),
            *(sampler.i.payload.keep[lane].eq(lane < about.counted) for lane in range(lanes)),
        ]

    def _elaborate_values(
        self, m: Module, valid: Value, about: Any, path: ValuePath, statistics: RowStatistics,
        writer: BlockWriter,
    ) -> None:  # fmt: skip
        """Give values to all others who want them."""
        values, lanes = path.o, self.config.vector.lanes
        block = writer.i.payload
        scores, powers = statistics.scores, statistics.powers
        connect(m, writer.measured, statistics.mantissas)
        connect(m, writer.entries, path.entries)
        m.d.comb += [
            writer.i.valid.eq(valid & about.blocks),
            *(block[name].eq(about[name]) for name in ("end", "block_end", "base")),
            block.data.eq(values.data),
            block.kind.operand.eq(about.shared),
            block.kind.values.eq(about.to_values),
            *(block.kind[name].eq(about[name]) for name in ("measure", "row_begin", "row_end")),
            block.kind.unwritten.eq(about.measure & ~about.to_words),
            statistics.score_row.eq(about.row),
            scores.valid.eq(valid & about.maximum),
            *(scores.payload.integers[lane].eq(values.data[lane][FRACTION:])
              for lane in range(lanes)),
            *(scores.payload.keep[lane].eq(lane < about.counted) for lane in range(lanes)),
            powers.valid.eq(valid & about.sum),
            powers.payload.summands.eq(values.summands),
            statistics.constants.eq(self.constants),
            self.made.eq(statistics.made),
            self.measured.eq(statistics.measured),
        ]  # fmt: skip
        for rows in (scores, powers):
            m.d.comb += [
                rows.payload.first.eq(about.row_begin), rows.payload.last.eq(about.row_end)
            ]

    def _elaborate_posts(
        self, m: Module, statistics: RowStatistics, writer: BlockWriter, wide_writer: WideWriter
    ) -> None:
        """Give semaphores; no two come in a cycle."""
        for name in POSTS:
            sources = (
                (name, getattr(wide_writer, name), getattr(writer, name)),
                (f"row_{name}", getattr(statistics, name), getattr(writer, f"row_{name}")),
            )
            for ours, first, words in sources:
                port = getattr(self, ours)
                m.d.comb += [
                    port.valid.eq(words.valid | first.valid),
                    port.id.eq(Mux(first.valid, first.id, words.id)),
                ]

    def _elaborate_counts(
        self, m: Module, sums: Value, turnstile: Turnstile, gate: Gate, path: ValuePath,
        writer: BlockWriter,
    ) -> None:  # fmt: skip
        """Count what is clipped and flushed, and what the units do; ``sums``: values of VECTOR."""
        lanes = self.config.vector.lanes
        clipped, rounded = (Signal(range(lanes + 1), name=n) for n in ("clipped", "rounded"))
        row_unit = turnstile.o.payload.row_unit
        m.d.sync += [
            clipped.eq(count(path.o.clipped & sums.replicate(lanes))),
            rounded.eq(count(writer.saturated)),
            self.saturations.eq(clipped + rounded),
        ]
        m.d.comb += [
            self.flushes.eq(writer.flushed),
            self.events.busy.eq(gate.take & ~row_unit),
            self.events.wait_semaphore.eq(self.waiting),
            self.events.wait_result.eq(turnstile.events.wait_result),
            self.events.wait_store.eq(turnstile.events.wait_store),
            self.row_events.busy.eq(gate.take & row_unit),
            self.row_events.wait_semaphore.eq(self.row_waiting),
        ]
