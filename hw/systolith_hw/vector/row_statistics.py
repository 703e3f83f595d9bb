"""What is found out about whole rows: their largest score, their sums, and their factors."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..interfaces import SemaphorePost
from ..sequencer.permit import semaphore
from ..stream.fifo import Fifo
from .beat import POSTS
from .block_exponent import BASE_BITS
from .block_normalizer import BlockNormalizer
from .moments import Moments, mantissa_beat
from .row_factor import RowFactor, row_sums
from .row_loop import row_constants
from .row_maximum import INTEGER_BITS, RowMaximum, integer_beat
from .row_memory import RowMemory, row_number
from .row_records import RowRecords
from .row_shapes import factor
from .row_sum import RowSum, summand_beat
from .row_tokens import WAITING

__all__ = ["RowStatistics", "row_task"]

PLACES = WAITING + 4
"""So many that a queue of rows that wait never makes anybody wait."""

FEWEST_CYCLES = 14
"""Cycles from a row's sum to its factor, at least."""


def row_task(config: Config) -> data.StructLayout:
    """Return the shape of what is to be done with a row's sums.

    ``normal``: they make mean and factor of NORM, or MEASURED (``drained``), of words with
    ``base``. Those go to a ``record``; others make the factor of row ``row``, with which
    ``post_inner`` and ``post_outer`` are given.
    """
    return data.StructLayout({
        "normal": 1,
        "drained": 1,
        "record": 1,
        "base": BASE_BITS,
        "row": row_number(config),
        "post_inner": semaphore(),
        "post_outer": semaphore(),
    })


class RowStatistics(wiring.Component):
    """Gather rows while their values go by, make their factors, and keep them.

    ::

        scores ────►[ RowMaximum ]─────────────────────────────► references ─┐
        powers ────►[ RowSum ]─►[ Fifo ]─┬─►[ waits ]─►[ RowFactor ]─┬► factors ──┴─► row memory
        mantissas ─►[ Moments ]──────────┘                           └► records of mean and factor
        tasks ─────►[ Fifo ]─────────────┘

    Moments wait where they were made, and one row's sums in front of ``RowFactor``: those who ask
    for rows see to it that two of NORM are never exceeded, nor ``WAITING`` (:class:`.RowTokens`).

    =========== ===========================================================================
    Latency     log2(lanes) + 2 cycles from a row's last scores to a reference that may be
                asked for; of factors: see ``RowFactor``
    Throughput  1 beat per cycle
    =========== ===========================================================================

    Parameters
    ----------
    config : Config
        Shapes.
    target : str
        "generic", "ecp5" or "ice40": for multipliers.

    Members
    -------
    scores : In(stream of integer_beat(config), always ready), score_row : In(row)
        Beats of DRAIN with ``maximum``, and their row.
    powers : In(stream of summand_beat(config), always ready)
        Beats of SOFTMAX.
    mantissas : In(stream of mantissa_beat(config), always ready)
        Measured beats of NORM.
    task : In(stream of row_task(config), always ready)
        The last beat of a row of SOFTMAX or NORM is taken: its sums will come, in this order.
    constants : In(row_constants())
        From the loop.
    made, measured : Out(1)
        A factor has been made, for ROW or for MEASURED.
    reference_row, factor_row : In(row); reference, factor : Out
        Row memory.
    mean_record, factor_record : In(1); mean, record_factor : Out
        Records of NORM.
    post_inner, post_outer : Out(SemaphorePost)
        Given when a row's factor is written, and the words of SOFTMAX.
    empty : Out(1)
        Nothing is under way, but for scores.
    """

    scores: stream.Interface
    score_row: Signal
    powers: stream.Interface
    mantissas: stream.Interface
    task: stream.Interface
    constants: data.View
    made: Signal
    measured: Signal
    reference_row: Signal
    reference: Signal
    factor_row: Signal
    factor: data.View
    mean_record: Signal
    mean: Signal
    factor_record: Signal
    record_factor: data.View
    post_inner: Any
    post_outer: Any
    empty: Signal

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        row = row_number(config)
        super().__init__({
            "scores": In(stream.Signature(integer_beat(config), always_ready=True)),
            "score_row": In(row),
            "powers": In(stream.Signature(summand_beat(config), always_ready=True)),
            "mantissas": In(stream.Signature(mantissa_beat(config), always_ready=True)),
            "task": In(stream.Signature(row_task(config), always_ready=True)),
            "constants": In(row_constants()),
            "made": Out(1),
            "measured": Out(1),
            "reference_row": In(row),
            "reference": Out(signed(INTEGER_BITS)),
            "factor_row": In(row),
            "factor": Out(factor()),
            "mean_record": In(1),
            "mean": Out(signed(32)),
            "factor_record": In(1),
            "record_factor": Out(factor()),
            "post_inner": Out(SemaphorePost()),
            "post_outer": Out(SemaphorePost()),
            "empty": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.memory = memory = RowMemory(config)
        m.submodules.records = records = RowRecords()
        m.submodules.factory = factory = RowFactor(config)
        m.submodules.tasks = tasks = Fifo(row_task(config), PLACES)
        m.d.comb += [tasks.i.valid.eq(self.task.valid), tasks.i.payload.eq(self.task.payload)]
        self._elaborate_references(m, memory)

        held, made = self._elaborate_sums(m, tasks, factory)
        result = factory.o.payload
        m.d.comb += [
            factory.o.ready.eq(1),
            self.made.eq(factory.o.valid & ~made.drained),
            self.measured.eq(factory.o.valid & made.drained),
            records.i.valid.eq(factory.o.valid & made.record),
            records.i.payload.eq(result),
            memory.factors.valid.eq(factory.o.valid & ~made.record),
            memory.factors.payload.row.eq(made.row),
            memory.factors.payload.factor.eq(result.factor),
            memory.factor_row.eq(self.factor_row),
            self.factor.eq(memory.factor),
            records.mean_record.eq(self.mean_record),
            records.factor_record.eq(self.factor_record),
            self.mean.eq(records.mean),
            self.record_factor.eq(records.factor),
        ]
        posting = self._elaborate_posts(m, factory.o.valid & ~made.record, made)
        m.d.comb += self.empty.eq(tasks.empty & ~held & ~factory.o.valid & ~posting)
        return m

    def _elaborate_references(self, m: Module, memory: RowMemory) -> None:
        """Write the references of rows, and read them."""
        m.submodules.maximum = maximum = RowMaximum(self.config)
        connect(m, flipped(self.scores), maximum.i)
        row: Value = self.score_row
        for age in range(maximum.latency):
            before = row
            row = Signal.like(self.score_row, name=f"score_row_{age}", reset_less=True)
            m.d.sync += row.eq(before)
        m.d.comb += [
            memory.references.valid.eq(maximum.o.valid),
            memory.references.payload.row.eq(row),
            memory.references.payload.reference.eq(maximum.o.payload),
            memory.reference_row.eq(self.reference_row),
            self.reference.eq(memory.reference),
        ]

    def _elaborate_sums(self, m: Module, tasks: Fifo, factory: RowFactor) -> tuple[Value, Any]:
        """Bring sums to ``RowFactor``; return "some are there", and the task of its result."""
        m.submodules.sum = powers = RowSum(self.config)
        m.submodules.totals = totals = Fifo(powers.o.payload.shape(), PLACES)
        m.submodules.moments = moments = Moments(self.config, self.target)
        connect(m, flipped(self.powers), powers.i)
        connect(m, flipped(self.mantissas), moments.i)

        # Moments are where they were made from the cycle in which they are valid, and stay if they
        # are not taken in that: the next row's may come right behind.
        take, stay = Signal(), Signal()
        task: Any = tasks.o.payload
        there = stay | moments.o.valid
        m.d.sync += stay.eq(there & ~(take & task.normal))
        m.d.comb += [
            totals.i.valid.eq(powers.o.valid),
            totals.i.payload.eq(powers.o.payload),
            totals.o.ready.eq(take & ~task.normal),
        ]

        held = Signal()
        sums: Any = Signal(row_sums(self.config), reset_less=True)
        held_task: Any = Signal(row_task(self.config), reset_less=True)
        made: Any = Signal(row_task(self.config), reset_less=True)
        m.d.comb += [
            take.eq(tasks.o.valid & ~held & Mux(task.normal, there, totals.o.valid)),
            tasks.o.ready.eq(take),
            factory.i.valid.eq(held),
            factory.i.payload.eq(sums),
        ]
        m.d.sync += held.eq(take | (held & ~factory.i.ready))
        with m.If(~held):
            m.d.sync += [held_task.eq(task), *self._sums(sums, task, totals.o.payload, moments)]
        with m.If(factory.i.ready):
            m.d.sync += made.eq(held_task)
        return held, made

    def _sums(self, sums: Any, task: Any, total: Value, moments: Moments) -> list[Any]:
        """Return how ``sums`` are set to a row's."""
        return [
            sums.normal.eq(task.normal),
            sums.total.eq(Mux(task.normal, moments.o.payload.total, total)),
            sums.squares.eq(moments.o.payload.squares),
            sums.base.eq(task.base),
            sums.centre.eq(self.constants.centre & ~task.drained),
            *(sums[name].eq(self.constants[name]) for name in ("inverse", "epsilon")),
        ]  # fmt: skip

    def _elaborate_posts(self, m: Module, factor_made: Value, made: Any) -> Value:
        """Give the semaphores of rows, not before SOFTMAX's words are out; return "some wait"."""
        config = self.config
        words = BlockNormalizer.latency + config.array.rows // config.vector.lanes + 2
        words -= BlockNormalizer.lead
        wait = max(1, words - (config.vector.lanes - 1).bit_length() - FEWEST_CYCLES)
        valid, task = factor_made, Value.cast(made)
        waiting = [factor_made]
        for age in range(wait):
            before = valid, task
            valid = Signal(name=f"posting_{age}")
            task = Signal(len(task), name=f"posting_task_{age}", reset_less=True)
            m.d.sync += [valid.eq(before[0]), task.eq(before[1])]
            waiting.append(valid)
        done: Any = data.View(row_task(config), task)
        for name in POSTS:
            port = getattr(self, name)
            m.d.comb += [port.valid.eq(valid & done[name].present), port.id.eq(done[name].id)]
        return Cat(waiting).any()
