"""The matrix engine: everything between MATMUL instructions and results."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import lane_write, result_beat, row_write, unit_ports, word_write
from ..isa import SLOT_BITS, Opcode
from ..stream.fifo import Fifo
from .access import stages
from .beats import BeatAccumulator
from .entry import Entry, entry_latency
from .exponent import ExponentRow
from .feeder import EVENTS, Feeder
from .row import ArrayRow, sums_latency
from .short_accumulator import ShortAccumulator
from .short_feeder import ShortFeeder

__all__ = ["MatrixEngine"]


class MatrixEngine(wiring.Component):
    """Multiply activation words by operand tiles, as MATMUL says.

    For each group, token and tile of the instruction, with K = steps * R::

        result[c] = sum over steps s of
            (sum over rows i of mantissa[s][i] * weight[s][i][c]) << exponent[s]

    Everything enters at the top and moves down a stage of rows per cycle (:mod:`.access`)::

        instruction ─►[ Feeder ]─► control words ─►┐
        rows, lanes, words_load, words_vector ────►[ Entry ]
                           ▲                           │ one cycle's accesses
                           │                      [ ArrayRow 0 ]
                           │                           │ accesses, sums
                           │                          ...
                           │                      [ ArrayRow R-1 ]
                           │                           ├── accesses ──►[ ExponentRow ]
                           │                           │ sums               │ exponent
                           │                   [ BeatAccumulator ]◄─────────┘
                           └── credits ── results ◄─[ Fifo ]

    =========== ==========================================================
    Latency     :attr:`latency` cycles from the entering of a result's last
                control word to its first beat on ``results``
    Throughput  1 control word per cycle, whatever the number of steps, but
                results at least C/L cycles apart; also with one step per
                result, since the credit of a result comes back in at
                most ``rows + 12`` cycles (15 for 2 rows), and
                ``output_depth`` is no less
    Stall       only the feeder; nothing in the array ever waits
    Reset       at least 2 cycles; forgets all but the memories
    Golden      :func:`systolith_sim.array.accumulator.accumulate`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Shape, widths, depths.
    target : str
        "generic", "ecp5" or "ice40".

    Members
    -------
    instruction : In(stream of descriptor(Opcode.MATMUL))
        What to do.
    wait : Out(SemaphoreWait)
        Semaphores to take.
    post_inner, post_outer : Out(SemaphorePost)
        Semaphores to give, the cycle after the last access they guard has entered.
    fault : Out(Fault)
        ZERO_COUNT or ADDRESS_RANGE.
    halt : In(1)
        Start nothing.
    idle : Out(1)
        No instruction is under way, and no result is on its way or waits.
    rows : In(stream of row_write(config))
        Writes of operand rows.
    words_load : In(stream of word_write(config))
        LOAD's writes of activation words and operand columns.
    words_vector : In(stream of word_write(config), always ready)
        The vector unit's.
    lane_writes : In(stream of lane_write(config), always ready)
        The vector unit's writes of L lanes of an operand row; only with ``vector.rows``.
    number : In(16)
        What BEST or SAMPLE wrote last; only with ``array.numbered``.
    results : Out(stream of result_beat(config))
        A result for each group, token and tile, in this order; of each C/L beats of L sums,
        lowest columns first.
    arrived : Out(1)
        A beat goes into the queue in front of ``results``; only with ``vector.rows``. It is offered
        3 cycles later if nothing else is.
    events : Out(EVENTS)
        Strobes for the counters.
    """

    instruction: stream.Interface
    wait: Any
    post_inner: Any
    post_outer: Any
    fault: Any
    halt: Signal
    idle: Signal
    rows: stream.Interface
    words_load: stream.Interface
    words_vector: stream.Interface
    lane_writes: stream.Interface
    number: Signal
    results: stream.Interface
    arrived: Signal
    events: data.View

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        for_rows = {
            "lane_writes": In(stream.Signature(lane_write(config), always_ready=True)),
            "arrived": Out(1),
        }
        super().__init__({
            **unit_ports(Opcode.MATMUL),
            **(for_rows if config.vector.rows else {}),
            **({"number": In(SLOT_BITS)} if config.array.numbered else {}),
            "rows": In(stream.Signature(row_write(config))),
            "words_load": In(stream.Signature(word_write(config))),
            "words_vector": In(stream.Signature(word_write(config), always_ready=True)),
            "results": Out(stream.Signature(result_beat(config))),
            "events": Out(EVENTS),
        })

    @property
    def latency(self) -> int:
        """Cycles from the entering of a result's last control word to its first beat's offer."""
        config = self.config
        array = entry_latency(config) + stages(config) - 1 + sums_latency(config)
        if config.short_pipelines:
            return array + ShortAccumulator.latency + 2
        return array + BeatAccumulator.latency + 3

    def elaborate(self, platform) -> Module:
        config = self.config
        m = Module()

        m.submodules.feeder = feeder = self._feeder()
        m.submodules.entry = entry = Entry(config)
        m.submodules.exponents = exponents = ExponentRow(config, self.target)
        m.submodules.accumulator = accumulator = self._accumulator()
        m.submodules.output = output = self._output()

        for name in ("instruction", "wait", "post_inner", "post_outer", "fault"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(feeder, name))
        for name in ("rows", "words_load", "words_vector"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(entry, name))
        if config.vector.rows:
            wiring.connect(m, wiring.flipped(self.lane_writes), entry.lane_writes)
            m.d.comb += self.arrived.eq(output.i.valid)
        wiring.connect(m, feeder.control, entry.control)
        # Credits see to it that there is room.
        wiring.connect(m, accumulator.o, output.i)
        wiring.connect(m, output.o, wiring.flipped(self.results))
        m.d.comb += [
            feeder.halt.eq(self.halt),
            feeder.taken.eq(self._taken(m)),
            self.idle.eq(feeder.idle),
            self.events.eq(feeder.events),
        ]

        if isinstance(feeder, Feeder) and config.array.numbered:
            m.d.comb += feeder.number.eq(self.number)
        accesses, sums = self._elaborate_rows(m, entry.o)
        m.d.comb += [
            exponents.i.eq(accesses),
            accumulator.valid.eq(exponents.valid),
            accumulator.last.eq(exponents.last),
            accumulator.exponent.eq(exponents.exponent),
            accumulator.sums.eq(sums),
        ]

        return m

    def _feeder(self) -> Feeder | ShortFeeder:
        """Return what executes instructions."""
        config = self.config
        short = config.short_pipelines and config.sequencer.instructions_stand
        return ShortFeeder(config) if short else Feeder(config)

    def _accumulator(self) -> BeatAccumulator | ShortAccumulator:
        """Return what adds up the sums of all columns."""
        if self.config.short_pipelines:
            return ShortAccumulator(self.config, self.target)
        return BeatAccumulator(self.config)

    def _output(self) -> Fifo:
        """Return the queue of beats.

        Its output is a register, since block RAM is slow to give its data and the vector unit has
        gates for it.
        """
        config = self.config
        register = not config.short_pipelines
        return Fifo(
            result_beat(config),
            config.array.output_depth * config.beats_per_result + register,
            style="distributed" if config.memory.results_distributed else "block",
            output_register=register,
        )

    def _taken(self, m: Module) -> Value:
        """Return whether the last beat of a result is taken, or was in the cycle before: feeder and
        queue are far apart, but with short pipelines."""
        taken = self.results.valid & self.results.ready
        beats = self.config.beats_per_result
        beat = Signal(range(beats))
        with m.If(taken):
            m.d.sync += beat.eq(beat + 1)  # a power of two
        last = taken & (beat == beats - 1)
        if self.config.short_pipelines:
            return last
        told = Signal()
        m.d.sync += told.eq(last)
        return told

    def _elaborate_rows(self, m: Module, accesses: data.View) -> tuple[data.View, data.View]:
        """Chain the rows; return what leaves the last one: accesses and sums."""
        above: ArrayRow | None = None
        sums: data.View | None = None
        mantissas: data.View | None = None
        for index in range(self.config.array.rows):
            row = ArrayRow(self.config, index, self.target)
            m.submodules[f"row_{index}"] = row
            m.d.comb += row.i.eq(accesses)
            if row.shares > 1 and row.is_holder:
                mantissas = row.o_mantissas
            elif mantissas is not None:
                m.d.comb += row.i_mantissa.eq(mantissas[index % row.shares])
            if above is not None and index % 2:
                m.d.comb += row.i_products.eq(above.o_products)
                if sums is not None:
                    m.d.comb += row.i_sums.eq(sums)
                sums = row.o_sums
            accesses, above = row.o, row
        assert sums is not None
        return accesses, sums
