"""Mean and factor of the rows that NORM has measured and not yet normalised."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS
from .row_factor import row_result
from .row_shapes import factor

__all__ = ["RowRecords"]


class RowRecords(wiring.Component):
    """Keep two results of ``RowFactor``, in turn.

    =========== ==========================================================
    Latency     1 cycle (:attr:`latency`) from a record's number to what it
                holds; a record that comes may be asked for in the next cycle
    Throughput  1 record per cycle
    =========== ==========================================================

    Members
    -------
    i : In(stream of row_result(), always ready)
        Results of NORM: the first goes to record 0, the next to record 1, and so on.
    mean_record : In(1), mean : Out(signed(32))
        One half of a record, asked for when it is taken off.
    factor_record : In(1), factor : Out(factor())
        The other half, asked for later.
    """

    latency = 1

    i: stream.Interface
    mean_record: Signal
    mean: Signal
    factor_record: Signal
    factor: data.View

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(row_result(), always_ready=True)),
            "mean_record": In(1),
            "mean": Out(signed(FIXED_BITS)),
            "factor_record": In(1),
            "factor": Out(factor()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        records: list[Any] = [
            Signal(row_result(), name=f"record_{number}", reset_less=True) for number in range(2)
        ]
        turn = Signal()
        mean = Signal(signed(FIXED_BITS), reset_less=True)
        chosen: Any = Signal(factor(), reset_less=True)
        with m.If(self.i.valid):
            m.d.sync += turn.eq(~turn)
            for number, record in enumerate(records):
                with m.If(turn == number):
                    m.d.sync += record.eq(self.i.payload)
        m.d.sync += [
            mean.eq(Mux(self.mean_record, records[1].mean, records[0].mean)),
            chosen.eq(Mux(self.factor_record, records[1].factor, records[0].factor)),
        ]
        m.d.comb += [self.mean.eq(mean), self.factor.eq(chosen)]
        return m
