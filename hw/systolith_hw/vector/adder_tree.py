"""Add the values of all lanes."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AdderTree"]


class AdderTree(wiring.Component):
    """Compute ``total = sum(values)``, exactly, with a register behind every pair.

    =========== ======================================================
    Latency     log2(lanes) cycles (:attr:`latency`); 0 for one lane
    Throughput  1 sum per cycle; never stalls
    =========== ======================================================

    Parameters
    ----------
    shape : Shape
        Of a value, signed or not.
    lanes : int
        How many values; a power of two.

    Members
    -------
    values : In(ArrayLayout(shape, lanes))
        What is added.
    total : Out(log2(lanes) bits more)
        The sum.
    """

    values: data.View
    total: Signal

    def __init__(self, shape: Shape, lanes: int) -> None:
        self.lanes = lanes
        width = shape.width + (lanes - 1).bit_length()
        super().__init__({
            "values": In(data.ArrayLayout(shape, lanes)),
            "total": Out(Shape(width, shape.signed)),
        })

    @property
    def latency(self) -> int:
        """Cycles from ``values`` to ``total``."""
        return (self.lanes - 1).bit_length()

    def elaborate(self, platform) -> Module:
        m = Module()
        level: list[Value] = [self.values[lane] for lane in range(self.lanes)]
        while len(level) > 1:
            pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=True)]
            level = []
            for index, pair in enumerate(pairs):
                name = f"sum_{len(pairs)}_{index}"
                level.append(Signal(pair.shape(), name=name, reset_less=True))
                m.d.sync += level[-1].eq(pair)
        m.d.comb += self.total.eq(level[0])
        return m
