"""Choose what the requantiser works on: the array's sums, or a row that is to be normalised."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, SHIFT_BITS, Config
from ..interfaces import result_beat, wide_write
from ..memory.scale import scale_factor
from ..tables import CENTRED_FRACTION
from .requantizer import Requantizer
from .row_shapes import factor

__all__ = ["OperandSelect", "operand_bits", "operand_choice"]


def operand_bits(config: Config) -> int:
    """Return the width of what is requantised: of a sum, or of a fixed-point value less a mean."""
    return max(config.array.accumulator_bits, FIXED_BITS + 1)


def operand_choice(config: Config) -> data.StructLayout:
    """Return the shape of what decides: members of a beat, see :func:`.beat.beat`."""
    return data.StructLayout({
        "results": 1, "centre": 1, "factor": 1, "lanes": range(config.vector.lanes + 1),
    })  # fmt: skip


class OperandSelect(wiring.Component):
    """Feed :class:`Requantizer`, a beat per cycle, in one of four ways.

    ::

        results          sums         × entry               + bias
        results, factor  sums         × row_factor >> -offset
        centre           wide - mean  × record_factor >> -12
        none             0

    Inputs and outputs are those of the same beat at different times, since the requantiser wants a
    beat's constants later than its value.

    =========== ====================================================
    Latency     1 cycle from ``choice`` to ``x``. From ``choice`` to the other inputs: none to
                ``sums``, ``wide`` and ``mean``, :attr:`factor_delay`, :attr:`entry_delay`
                and :attr:`bias_delay` to those
    Throughput  1 beat per cycle; never stalls
    Stall       ``factors`` and ``biases`` come combinationally from ``entries`` and
                ``entry_biases``
    Golden      :func:`systolith_sim.vector.requantizer.requantize_each`, and
                :func:`systolith_sim.vector.row.scale_row` up to ``normal``
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Lanes and the width of accumulators.

    Members
    -------
    choice : In(operand_choice(config))
        What to take.
    sums : In(result_beat(config))
        The array's.
    wide : In(L fixed-point values), mean : In(signed(32))
        Values of a row, and what is taken off them.
    row_factor, record_factor : In(factor())
        Of the row whose softmax is known, or which is to be normalised.
    offset : In(7)
        Taken off the shift of ``row_factor``.
    entries : In(lanes of scale_factor), entry_biases : In(lanes of 32 bits)
        From the scale memory.
    x : Out(ArrayLayout(signed(operand_bits(config)), lanes))
        To be requantised.
    factors : Out(lanes of scale_factor), biases : Out(lanes of 32 bits), keep : Out(lanes)
        What the requantiser wants for that x, in the cycles in which it wants it.
    """

    entry_delay = 1 + Requantizer.factor_delay
    """Cycles from ``choice`` to ``entries``."""
    factor_delay = entry_delay - 1
    """Cycles from ``choice`` to ``row_factor``, ``record_factor`` and ``offset``."""
    bias_delay = 1 + Requantizer.bias_delay
    """Cycles from ``choice`` to ``entry_biases``."""

    choice: data.View
    sums: data.View
    wide: data.View
    mean: Signal
    row_factor: data.View
    record_factor: data.View
    offset: Signal
    entries: data.View
    entry_biases: data.View
    x: data.View
    factors: data.View
    biases: data.View
    keep: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        lanes = config.vector.lanes
        factors = data.ArrayLayout(scale_factor(), lanes)
        biases = data.ArrayLayout(signed(FIXED_BITS), lanes)
        super().__init__({
            "choice": In(operand_choice(config)),
            "sums": In(result_beat(config)),
            "wide": In(wide_write(config)["data"].shape),
            "mean": In(signed(FIXED_BITS)),
            "row_factor": In(factor()),
            "record_factor": In(factor()),
            "offset": In(SHIFT_BITS),
            "entries": In(factors),
            "entry_biases": In(biases),
            "x": Out(data.ArrayLayout(signed(operand_bits(config)), lanes)),
            "factors": Out(factors),
            "biases": Out(biases),
            "keep": Out(lanes),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        choice = self.choice
        centre = _ages(m, "centre", choice.centre, self.factor_delay)
        common = _ages(m, "common", choice.centre | choice.factor, self.bias_delay)
        kept = Mux(choice.results | choice.centre, choice.lanes, 0)
        lanes = _ages(m, "lanes", kept, 1 + Requantizer.keep_delay)[-1]

        own: Any = Signal(scale_factor(), reset_less=True)
        row_shift = (self.row_factor.shift - self.offset)[:SHIFT_BITS]
        record_shift = self.record_factor.shift - CENTRED_FRACTION
        with m.If(centre[-1]):
            m.d.sync += [own.scale.eq(self.record_factor.scale), own.shift.eq(record_shift)]
        with m.Else():
            m.d.sync += [own.scale.eq(self.row_factor.scale), own.shift.eq(row_shift)]

        for lane in range(self.config.vector.lanes):
            x = Signal.like(self.x[lane], name=f"x_{lane}", reset_less=True)
            m.d.sync += x.eq(Mux(choice.centre, self.wide[lane] - self.mean, self.sums[lane]))
            m.d.comb += [
                self.x[lane].eq(x),
                self.factors[lane].eq(
                    Mux(common[self.entry_delay], own.as_value(), self.entries[lane].as_value())
                ),
                self.biases[lane].eq(Mux(common[self.bias_delay], 0, self.entry_biases[lane])),
                self.keep[lane].eq(lane < lanes),
            ]
        return m


def _ages(m: Module, name: str, value: Value, oldest: int) -> list[Value]:
    """Return ``value`` as it is, as it was one cycle ago, and so on up to ``oldest``."""
    ages = [value]
    for age in range(1, oldest + 1):
        ages.append(Signal(value.shape(), name=f"{name}_{age}", reset_less=True))
        m.d.sync += ages[-1].eq(ages[-2])
    return ages
