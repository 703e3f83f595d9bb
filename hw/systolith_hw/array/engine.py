"""The matrix engine: everything between MATMUL instructions and results."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import result, row_write, unit_ports, word_write
from ..isa import Opcode
from ..stream.fifo import Fifo
from .accumulator import Accumulator
from .entry import Entry
from .exponent import ExponentRow
from .feeder import EVENTS, Feeder
from .row import ArrayRow

__all__ = ["MatrixEngine"]


class MatrixEngine(wiring.Component):
    """Multiply activation words by operand tiles, as MATMUL says.

    For each group, token and tile of the instruction, with K = steps * R::

        result[c] = sum over steps s of
            (sum over rows i of mantissa[s][i] * weight[s][i][c]) << exponent[s]

    Everything enters at the top and moves down one row per cycle::

        instruction ─►[ Feeder ]─► control words ─►┐
        rows, words_load, words_vector ───────────►[ Entry ]
                           ▲                           │ one cycle's accesses
                           │                      [ ArrayRow 0 ]
                           │                           │ accesses, sums
                           │                          ...
                           │                      [ ArrayRow R-1 ]
                           │                           ├── accesses ──►[ ExponentRow ]
                           │                           │ sums               │ exponent
                           │                      [ Accumulator ]◄──────────┘
                           └── credits ── results ◄─[ Fifo ]

    =========== ==========================================================
    Latency     ``rows + 9`` cycles (:attr:`latency`) from the entering of
                a result's last control word to its offer on ``results``
    Throughput  1 control word per cycle, whatever the number of steps; also
                with one step per result, since ``output_depth`` is at least
                ``rows + 10`` and the credit of a result comes back
                ``rows + 10`` cycles after it was taken
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
    results : Out(stream of result(config))
        One result for each group, token and tile, in this order.
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
    results: stream.Interface
    events: data.View

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        super().__init__({
            **unit_ports(Opcode.MATMUL),
            "rows": In(stream.Signature(row_write(config))),
            "words_load": In(stream.Signature(word_write(config))),
            "words_vector": In(stream.Signature(word_write(config), always_ready=True)),
            "results": Out(stream.Signature(result(config))),
            "events": Out(EVENTS),
        })

    @property
    def latency(self) -> int:
        """Cycles from the entering of a result's last control word to its offer."""
        entry, fifo, last_row = 1, 2, self.config.array.rows - 1
        return entry + last_row + ArrayRow.latency + Accumulator.latency + fifo

    def elaborate(self, platform) -> Module:
        config = self.config
        m = Module()

        m.submodules.feeder = feeder = Feeder(config)
        m.submodules.entry = entry = Entry(config)
        m.submodules.exponents = exponents = ExponentRow(config, self.target)
        m.submodules.accumulator = accumulator = Accumulator(config)
        # On ECP5, block RAM would cost the vector unit 5.8 ns before its first gate.
        m.submodules.output = output = Fifo(
            result(config),
            config.array.output_depth,
            style="distributed" if self.target == "ecp5" else None,
        )

        for name in ("instruction", "wait", "post_inner", "post_outer", "fault"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(feeder, name))
        for name in ("rows", "words_load", "words_vector"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(entry, name))
        wiring.connect(m, feeder.control, entry.control)
        wiring.connect(m, output.o, wiring.flipped(self.results))
        m.d.comb += [
            feeder.halt.eq(self.halt),
            feeder.taken.eq(self.results.valid & self.results.ready),
            self.idle.eq(feeder.idle),
            self.events.eq(feeder.events),
        ]

        accesses, sums = self._elaborate_rows(m, entry.o)
        m.d.comb += [
            exponents.i.eq(accesses),
            accumulator.valid.eq(exponents.valid),
            accumulator.last.eq(exponents.last),
            accumulator.exponent.eq(exponents.exponent),
            accumulator.sums.eq(sums),
            # Credits see to it that there is room.
            output.i.valid.eq(accumulator.done),
            output.i.payload.eq(accumulator.result),
        ]

        return m

    def _elaborate_rows(self, m: Module, accesses: data.View) -> tuple[data.View, data.View]:
        """Chain the rows; return what leaves the last one: accesses and sums."""
        above: data.View | None = None
        for index in range(self.config.array.rows):
            row = ArrayRow(self.config, index, self.target)
            m.submodules[f"row_{index}"] = row
            m.d.comb += row.i.eq(accesses)
            if above is not None:
                m.d.comb += row.i_sums.eq(above)
            accesses, above = row.o, row.o_sums
        assert above is not None
        return accesses, above
