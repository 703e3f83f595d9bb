"""The column accumulators below the array."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import result

__all__ = ["Accumulator"]

FINE_BITS = 2
"""Bits of the exponent that the first of the two shifters looks at."""


class Accumulator(wiring.Component):
    """Add up the sums of all steps of a result, each shifted by its block exponent.

    For each column, over the control words up to the one with ``last``::

        result[c] = sum of (sums[c] << exponent)

    The sums of all C columns share the exponent::

        sums ──►[ << exponent mod 4 ]──►[ << exponent div 4 * 4 ]──►( + )──┬──► result
                      stage 0                   stage 1               ▲    ▼
                                                                      └─[ total ]

    ``total`` is cleared as a result leaves, which costs a flip-flop nothing; an add that starts
    from zero on a flag would cost a multiplexer for every bit.

    =========== ==========================================================
    Latency     2 cycles (:attr:`latency`) from the last sums to ``result``
                (which comes combinationally from the adder)
    Throughput  one word per cycle, results without a gap between them
    Golden      :func:`systolith_sim.array.accumulator.accumulate`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Widths and columns.

    Members
    -------
    valid : In(1)
        There are sums in this cycle.
    last : In(1)
        They complete a result.
    exponent : In(exponent_bits)
        Left shift of all sums, at most ``window``.
    sums : In(ArrayLayout(signed(psum_bits), columns))
        One sum for each column.
    done : Out(1)
        ``result`` is complete, in this cycle only.
    result : Out(result(config))
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
        array = config.array
        super().__init__({
            "valid": In(1),
            "last": In(1),
            "exponent": In(array.exponent_bits),
            "sums": In(data.ArrayLayout(signed(array.psum_bits), array.columns)),
            "done": Out(1),
            "result": Out(result(config)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        fine = self.exponent[:FINE_BITS]
        coarse = Signal(max(1, len(self.exponent) - FINE_BITS), reset_less=True)
        valid = Signal()
        last = Signal(reset_less=True)
        m.d.sync += [
            coarse.eq(self.exponent[FINE_BITS:]),
            valid.eq(self.valid),
            last.eq(self.last),
            self.done.eq(valid & last),
        ]

        for column in range(self.config.array.columns):
            self._elaborate_column(m, column, valid, fine, coarse)

        return m

    def _elaborate_column(
        self, m: Module, column: int, valid: Value, fine: Value, coarse: Value
    ) -> None:
        """Add the shifters and the adder of one column."""
        array = self.config.array
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
