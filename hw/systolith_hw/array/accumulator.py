"""The accumulators of some columns, below the array."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import result_beat

__all__ = ["Accumulator", "column_sums"]

FINE_BITS = 2
"""Bits of the exponent that the first of the two shifters looks at."""


def column_sums(config: Config) -> data.ArrayLayout:
    """Return the shape of what leaves the array for the columns of one beat."""
    return data.ArrayLayout(signed(config.array.psum_bits), config.vector.lanes)


class Accumulator(wiring.Component):
    """Add up the sums of all steps of a result, each shifted by its block exponent.

    For each of L columns, over the control words up to the one with ``last``::

        result[c] = sum of (sums[c] << exponent)

    The sums of all columns share the exponent::

        sums ──►[ << exponent mod 4 ]──►[ << exponent div 4 * 4 ]──►( + )──┬──► result
                      stage 0                   stage 1               ▲    ▼
                                                                      └─[ total ]

    ``total`` is cleared as a result leaves, which costs a flip-flop nothing.

    =========== ==========================================================
    Latency     2 cycles (:attr:`latency`) from the last sums to ``result``
    Throughput  one word per cycle, results without a gap between them
    Golden      :func:`systolith_sim.array.accumulator.accumulate`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Widths and lanes.

    Members
    -------
    valid : In(1)
        There are sums in this cycle.
    last : In(1)
        They complete a result.
    exponent : In(exponent_bits)
        Left shift of all sums, at most ``window``.
    sums : In(column_sums(config))
        One sum for each column.
    done : Out(1)
        ``result`` is complete, in this cycle only.
    result : Out(result_beat(config))
        One dot product for each column.
    """

    latency = 2

    valid: Signal
    last: Signal
    exponent: Signal
    sums: data.View
    done: Signal
    result: data.View

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "valid": In(1),
            "last": In(1),
            "exponent": In(config.array.exponent_bits),
            "sums": In(column_sums(config)),
            "done": Out(1),
            "result": Out(result_beat(config)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        valid = Signal()
        last = Signal(reset_less=True)
        m.d.sync += [
            valid.eq(self.valid),
            last.eq(self.last),
            self.done.eq(valid & last),
        ]
        for column in range(self.config.vector.lanes):
            self._elaborate_column(m, column, valid)
        return m

    def _elaborate_column(self, m: Module, column: int, valid: Value) -> None:
        """Add the two shifters and the adder of one column."""
        array = self.config.array
        fine = self.exponent[:FINE_BITS]
        # Kept for each column: one for all would be far from most of what it drives.
        coarse = Signal(
            max(1, len(self.exponent) - FINE_BITS), name=f"coarse_{column}", reset_less=True,
            attrs={"keep": 1},
        )  # fmt: skip
        near = Signal(
            signed(array.psum_bits + (1 << FINE_BITS) - 1), name=f"near_{column}", reset_less=True
        )
        far = Signal(
            signed(array.psum_bits + array.window), name=f"far_{column}", reset_less=True
        )
        total = Signal(signed(array.accumulator_bits), name=f"total_{column}")
        sum_ = Signal(signed(array.accumulator_bits), name=f"sum_{column}")
        m.d.comb += [sum_.eq(total + far), self.result[column].eq(sum_)]
        m.d.sync += [
            coarse.eq(self.exponent[FINE_BITS:]),
            near.eq(self.sums[column] << fine),
            far.eq(near << (coarse << FINE_BITS)),
            total.eq(sum_),
        ]
        # Nothing to add: zero, so that `total` needs no enable. In a reset, too: `valid` is
        # zero in its first cycle, so this is in its second, while `total` still is held.
        with m.If(~valid):
            m.d.sync += far.eq(0)
        with m.If(self.done):
            m.d.sync += total.eq(0)
