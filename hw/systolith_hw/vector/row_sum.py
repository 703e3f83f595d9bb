"""Sum the powers of two of a row."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from .adder_tree import AdderTree
from .function_table import VALUE_BITS
from .row_shapes import total_bits

__all__ = ["RowSum", "summand_beat"]


def summand_beat(config: Config) -> data.StructLayout:
    """Return the shape of L summands of a row; those of lanes that do not count are zero."""
    return data.StructLayout({
        "summands": data.ArrayLayout(VALUE_BITS, config.vector.lanes), "first": 1, "last": 1
    })  # fmt: skip


class RowSum(wiring.Component):
    """Compute ``total = sum(summands)`` over the beats of a row, exactly.

    =========== ====================================================================
    Latency     log2(lanes) + 1 cycles (:attr:`latency`) from a row's last beat
    Throughput  1 beat per cycle, the next row's right behind; never stalls
    Golden      ``sum`` of what :func:`systolith_sim.vector.exponential.exponentiate`
                gives to be summed
    =========== ====================================================================

    Parameters
    ----------
    config : Config
        Lanes, and the longest row.

    Members
    -------
    i : In(stream of summand_beat(config), always ready)
        Beats; ``first`` begins a row and ``last`` ends it, perhaps in the same one.
    o : Out(stream of total_bits(config), always ready)
        Sums of rows. The payload stays until the first beat of the next row gets there.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: Config) -> None:
        self.tree = AdderTree(unsigned(VALUE_BITS), config.vector.lanes)
        super().__init__({
            "i": In(stream.Signature(summand_beat(config), always_ready=True)),
            "o": Out(stream.Signature(total_bits(config), always_ready=True)),
        })

    @property
    def latency(self) -> int:
        """Cycles from a row's last beat to its sum."""
        return self.tree.latency + 1

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.tree = tree = self.tree
        beat = self.i.payload
        m.d.comb += tree.values.eq(beat.summands)
        valid: Value = self.i.valid
        ends: Value = Cat(beat.first, beat.last)
        for age in range(tree.latency):
            valid_now, ends_now = valid, ends
            valid = Signal(name=f"valid_{age}")
            ends = Signal(2, name=f"ends_{age}", reset_less=True)
            m.d.sync += [valid.eq(valid_now), ends.eq(ends_now)]
        first, last = ends
        total = Signal.like(self.o.payload, reset_less=True)
        m.d.comb += self.o.payload.eq(total)
        m.d.sync += self.o.valid.eq(valid & last)
        with m.If(valid):
            m.d.sync += total.eq(tree.total + Mux(first, 0, total))
        return m
