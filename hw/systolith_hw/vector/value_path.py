"""The vector unit's arithmetic: from sums, or from rows of wide memory, to fixed-point values."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import FIXED_BITS, Config
from ..interfaces import entry_write, result_beat, scale_stream
from ..memory.deep_bank import DeepBank
from ..memory.scale import ScaleMemory
from .ages import Ages
from .beat import beat
from .entry_scaling import EntryScaling
from .function_table import VALUE_BITS, FunctionTable
from .operand_select import OperandSelect, operand_bits
from .operation import Operation, multiplies, takes_scale, turns
from .pointwise import Pointwise
from .requantizer import Requantizer
from .row_maximum import INTEGER_BITS
from .row_shapes import factor
from .saturating_adder import SaturatingAdder
from .second_factor import SecondFactor

__all__ = ["ValuePath", "value_beat"]

SUMS = 3
"""Cycles from taking a beat until its sums are there."""
SCALE_LATENCY = DeepBank.latency + 1
SHIFT_USED = 6
"""Bits of the shift of a scale entry, when a function uses it; the bit above negates."""


def value_beat(config: Config) -> data.StructLayout:
    """Return the shape of what comes out for a beat.

    ``data``: fixed-point values; ``summands``: powers of two to be summed (EXP2); ``clipped``:
    lanes that the scaling or the addition clipped.
    """
    lanes = config.vector.lanes
    return data.StructLayout({
        "data": data.ArrayLayout(signed(FIXED_BITS), lanes),
        "summands": data.ArrayLayout(VALUE_BITS, lanes),
        "clipped": lanes,
    })


class ValuePath(wiring.Component):
    """Compute ``function(scale(x) + wide)`` or ``scale(x) * wide`` for a beat per cycle; ReLU is
    part of the addition.

    ::

        sums ─┬─[select]─►[ Requantizer ]─►[ + wide ]─┬──────────── direct ───►┐
        wide ─┼────────────────▲────────────────▲     └─►[ Pointwise ]────────►┴─[register]─► o
              │                └── scale memory,│row factors ──▲
              └─────────────────────────────────┴►[ SecondFactor ]

    With ``vector.deferred_norms`` scale memory and row factors are asked for earlier, and both go
    through :class:`.EntryScaling` first. Inputs besides the beat are wanted at fixed ages, in
    cycles since ``take``: ``sums`` and ``mean`` at :attr:`select`, ``record_factor`` at
    :attr:`factor`, ``row_factor`` at :attr:`row_factor_age`, ``reference`` at :attr:`function`,
    ``wide`` at :attr:`select` (centre) and :attr:`add`.

    =========== ====================================================
    Latency     :attr:`short` cycles if ``direct``, else :attr:`long`
    Throughput  1 beat per cycle; never stalls. Those who take beats see to it that no two come
                out together, and that scale memory is read for one at a time (:class:`.Gate`)
    Golden      :func:`systolith_sim.machine.vector.values.finish_values`,
                :mod:`systolith_sim.vector.row`, :mod:`systolith_sim.vector.exponential`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes.
    target : str
        "generic", "ecp5" or "ice40": for the multipliers.

    Members
    -------
    take : In(1), beat : In(beat(config)), direct : In(1)
        A beat is taken, and goes past functions.
    sums : In(result_beat(config)), wide : In(lanes of 32 bits)
        See above.
    mean : In(signed(32)), record_factor : In(factor())
        NORM's.
    row_factor : In(factor()), reference : In(signed(16))
        Of row memory.
    scale_writes : In(scale_stream(config)), entries : In(stream of entry_write(config))
        Into scale memory.
    valid_next : Out(1), short_next : Out(1)
        ``o`` comes in the next cycle; it has gone the direct way.
    o : Out(value_beat(config))
        What comes out.
    empty : Out(1)
        No beat is under way.
    """

    take: Signal
    beat: data.View
    direct: Signal
    sums: data.View
    wide: data.View
    mean: Signal
    record_factor: data.View
    row_factor: data.View
    reference: Signal
    scale_writes: stream.Interface
    entries: stream.Interface
    valid_next: Signal
    short_next: Signal
    o: data.View
    empty: Signal

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        # Ages of a beat, in cycles since it was taken: its sums or wide words are chosen, ...
        self.select = max(SUMS, config.wide_latency)
        self.factor = self.select + OperandSelect.factor_delay
        self.add = self.select + 1 + Requantizer.latency  # wide words are added,
        self.function = self.add + SaturatingAdder.latency  # functions begin.
        self.short = self.function + 1
        self.long = self.function + Pointwise.latency + 1
        self.detour = self.long - self.short
        self.bias_age = self.select + OperandSelect.bias_delay - SCALE_LATENCY
        self.late_scale_age = self.function + Pointwise.factor_delay - SCALE_LATENCY
        self.late_bias_age = self.function + Pointwise.bias_delay - SCALE_LATENCY
        self.scale_age = self.select + OperandSelect.entry_delay - SCALE_LATENCY
        self.row_factor_age = self.factor
        if config.vector.deferred_norms:
            self.scale_age -= EntryScaling.latency
            self.row_factor_age = self.scale_age + SCALE_LATENCY
        super().__init__({
            "take": In(1),
            "beat": In(beat(config)),
            "direct": In(1),
            "sums": In(result_beat(config)),
            "wide": In(value_beat(config)["data"].shape),
            "mean": In(signed(FIXED_BITS)),
            "record_factor": In(factor()),
            "row_factor": In(factor()),
            "reference": In(signed(INTEGER_BITS)),
            "scale_writes": In(scale_stream(config)),
            "entries": In(stream.Signature(entry_write(config), always_ready=True)),
            "valid_next": Out(1),
            "short_next": Out(1),
            "o": Out(value_beat(config)),
            "empty": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        beat: Any = self.beat
        scale_late, bias_late = takes_scale(beat.operation)
        ages = Ages(m, {
            "choice": Cat(beat.results, beat.centre, beat.factor, beat.lanes),
            "offset": beat.offset, "add": beat.add & ~multiplies(beat.operation),
            "rectify": beat.rectify,
            "scale": beat.scale, "scaled": beat.scaled, "lanes": beat.lanes, "shift": beat.shift,
            # What only waits must not come between two passes.
            "operation": Mux(self.take, beat.operation, Operation.NONE),
            # One that only waits must not read scale memory in another one's place.
            "scale_late": self.take & scale_late, "bias_late": self.take & bias_late,
        })  # fmt: skip
        m.submodules.scales = scales = ScaleMemory(self.config, output_register=True)
        connect(m, flipped(self.scale_writes), scales.write)
        connect(m, flipped(self.entries), scales.entries)
        self._elaborate_addresses(m, ages, scales)
        requantizer = self._elaborate_scaling(m, ages, scales)

        m.submodules.adder = adder = SaturatingAdder(self.config)
        add = Signal(self.config.vector.lanes, reset_less=True)  # what does not exist stays zero
        m.d.sync += [
            add[lane].eq(ages.at("add", self.add - 1) & (lane < ages.at("lanes", self.add - 1)))
            for lane in range(len(add))
        ]
        m.d.comb += [
            adder.z.eq(requantizer.z),
            adder.saturated.eq(requantizer.saturated),
            adder.add.eq(add),
            adder.rectify.eq(ages.at("rectify", self.add)),
            adder.wide.eq(self.wide),
        ]
        values, summands = self._elaborate_functions(m, ages, scales, adder)
        clipped = Ages(m, {"clipped": adder.clipped}).at("clipped", Pointwise.latency)
        self._elaborate_valid(m)

        done: Any = Signal(self.o.shape(), reset_less=True)
        m.d.comb += self.o.eq(done)
        m.d.sync += [
            done.summands.eq(summands),
            done.data.eq(Mux(self.short_next, adder.o.as_value(), values)),
            done.clipped.eq(Mux(self.short_next, adder.clipped, clipped)),
        ]
        return m

    def _elaborate_valid(self, m: Module) -> None:
        """Say when the register at the end takes a beat, from either way."""
        long, short = Signal(self.long - 1), Signal(self.short - 1)  # bit n: n + 1 cycles ago
        m.d.sync += [
            long.eq(Cat(self.take & ~self.direct, long)),
            short.eq(Cat(self.take & self.direct, short)),
        ]
        m.d.comb += [
            self.empty.eq(~long.any() & ~short.any()),
            self.short_next.eq(short[-1]),
            self.valid_next.eq(long[-1] | short[-1]),
        ]

    def _elaborate_addresses(self, m: Module, ages: Ages, scales: ScaleMemory) -> None:
        """Read scale memory for whom it is the time; a register is in front of both addresses."""
        early_scale, early_bias, late_scale, late_bias = (
            ages.at("scale", age - 1)
            for age in (self.scale_age, self.bias_age, self.late_scale_age, self.late_bias_age)
        )
        scale, bias = (
            Signal(len(early_scale), name=name, reset_less=True) for name in ("scale", "bias")
        )
        m.d.sync += [
            scale.eq(Mux(ages.at("scale_late", self.late_scale_age - 1), late_scale, early_scale)),
            bias.eq(Mux(ages.at("bias_late", self.late_bias_age - 1), late_bias, early_bias)),
        ]
        m.d.comb += [scales.factor_address.eq(scale), scales.bias_address.eq(bias)]

    def _elaborate_scaling(self, m: Module, ages: Ages, scales: ScaleMemory) -> Requantizer:
        """Add what scales sums, or values less their mean."""
        m.submodules.select = select = OperandSelect(self.config)
        m.submodules.requantizer = requantizer = Requantizer(
            self.config, self.target, bits=operand_bits(self.config)
        )
        row_factor, entries = self._elaborate_entries(m, ages, scales)
        m.d.comb += [
            Value.cast(select.choice).eq(ages.at("choice", self.select)),
            select.sums.eq(self.sums),
            select.wide.eq(self.wide),
            select.mean.eq(self.mean),
            select.row_factor.eq(row_factor),
            select.record_factor.eq(self.record_factor),
            select.offset.eq(ages.at("offset", self.factor)),
            select.entries.eq(entries),
            select.entry_biases.eq(scales.biases),
            requantizer.x.eq(select.x),
            requantizer.factors.eq(select.factors),
            requantizer.biases.eq(select.biases),
            requantizer.keep.eq(select.keep),
        ]
        return requantizer

    def _elaborate_entries(
        self, m: Module, ages: Ages, scales: ScaleMemory
    ) -> tuple[Value, Value]:
        """Return the row's factor, and entries which are multiplied by it where that is wanted."""
        if not self.config.vector.deferred_norms:
            return self.row_factor.as_value(), scales.factors.as_value()
        m.submodules.scaling = scaling = EntryScaling(self.config, self.target)
        later = Ages(m, {"row_factor": self.row_factor.as_value()})
        m.d.comb += [
            scaling.entries.eq(scales.factors),
            scaling.factor.eq(self.row_factor),
            scaling.scaled.eq(ages.at("scaled", self.row_factor_age)),
        ]
        return later.at("row_factor", self.factor - self.row_factor_age), scaling.o.as_value()

    def _elaborate_functions(
        self, m: Module, ages: Ages, scales: ScaleMemory, adder: SaturatingAdder
    ) -> tuple[Value, Value]:
        """Add a lane of functions for each value; return results and summands."""
        keep_age = self.function + Pointwise.keep_delay
        lanes = ages.at("lanes", keep_age - 1)
        m.submodules.second = second = SecondFactor(self.config)
        angle = Signal(reset_less=True)
        m.d.sync += angle.eq(turns(ages.at("operation", self.add - 1)))
        operation = ages.at("operation", self.function - Pointwise.operation_lead)
        m.d.comb += [second.wide.eq(self.wide), second.angle.eq(angle)]
        shift = ages.at("shift", self.function + Pointwise.factor_delay)
        units = [Pointwise(self.target) for _ in range(self.config.vector.lanes)]
        self._elaborate_tables(m, units)
        results, summands = [], []
        for lane, pointwise in enumerate(units):
            m.submodules[f"pointwise_{lane}"] = pointwise
            entry, beside = scales.factors[lane], units[min(lane ^ 1, len(units) - 1)]
            keep = Signal(name=f"keep_{lane}", reset_less=True)
            m.d.sync += keep.eq(lane < lanes)
            m.d.comb += [
                pointwise.operation.eq(operation),
                pointwise.z.eq(adder.o[lane]),
                pointwise.other.eq(beside.own),
                pointwise.second.eq(second.o[lane]),
                pointwise.shift.eq(shift),
                pointwise.reference.eq(self.reference),
                pointwise.factor.scale.eq(entry.scale),
                pointwise.factor.shift.eq(entry.shift[:SHIFT_USED]),
                pointwise.factor.negative.eq(entry.shift[SHIFT_USED]),
                pointwise.bias.eq(scales.biases[lane]),
                pointwise.keep.eq(keep),
            ]
            results.append(pointwise.result)
            summands.append(pointwise.summand)
        return Cat(results), Cat(summands)

    def _elaborate_tables(self, m: Module, units: list[Pointwise]) -> None:
        """Give each lane a table, or each two."""
        readers = self.config.vector.lanes_per_table
        for first in range(0, len(units), readers):
            m.submodules[f"functions_{first}"] = table = FunctionTable(readers)
            for reader, unit in enumerate(units[first : first + readers]):
                m.d.comb += [table.places[reader].eq(unit.place), unit.line.eq(table.lines[reader])]
