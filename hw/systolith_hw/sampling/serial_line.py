"""A place on a table's straight lines, with three bits of a product in each cycle."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..gumbel_tables import LOGARITHM, RARE
from ..tables import SEGMENT_BITS
from ..vector.function_table import VALUE_BITS, line
from .candidate import WORD_BITS

__all__ = ["SerialLine"]

REST_BITS = WORD_BITS - SEGMENT_BITS
DIGIT_BITS = 3
DIGITS = -(-REST_BITS // DIGIT_BITS)


class SerialLine(wiring.Component):
    """Compute ``value + rise * rest / 2**25``, rounded half up, of the segment of a place.

    The rest leaves the lower part of the product's register, three bits in each cycle, while the
    product enters it from above.

    =========== ====================================================
    Latency     12 cycles (:attr:`latency`) from ``start`` to ``result``; ``done`` comes with it
    Throughput  a place in that time
    Golden      :func:`systolith_sim.vector.function.interpolate`
    =========== ====================================================

    Members
    -------
    start : In(1)
        Take a place.
    rare : In(1)
        Of table RARE; else of LOGARITHM.
    place : In(32)
        ``place / 2**32`` of the table's range.
    done : Out(1)
        The result has come; it stays until the next start.
    result : Out(17)
        What the line says there, LSB 2**-16.
    """

    latency = 3 + DIGITS

    start: Signal
    rare: Signal
    place: Signal
    done: Signal
    result: Signal

    def __init__(self) -> None:
        super().__init__({
            "start": In(1),
            "rare": In(1),
            "place": In(WORD_BITS),
            "done": Out(1),
            "result": Out(VALUE_BITS + 1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lines = [
            {"value": value, "rise": rise}
            for table in (LOGARITHM, RARE)
            for value, rise in zip(table.values, table.rises, strict=True)
        ]
        attrs: dict[str, Any] = {"ram_style": "block"}
        table: memory.Memory = memory.Memory(
            shape=line(), depth=len(lines), init=lines, attrs=attrs
        )
        m.submodules.table = table
        read = table.read_port()
        found: Any = Signal(line(), reset_less=True)  # block RAM is slow to show its output
        lower = Signal(DIGITS * DIGIT_BITS, reset_less=True)
        upper = Signal(signed(len(found.rise) + 1), reset_less=True)
        more = Signal(signed(len(upper) + DIGIT_BITS))
        # Not as a product, which synthesis would give a multiplier.
        times = sum((Mux(lower[bit], found.rise, 0) << bit for bit in range(DIGIT_BITS)), C(0))
        busy = Signal(self.latency)  # bit n: started n + 1 cycles ago
        product = Cat(lower, upper).as_signed()
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(Cat(self.place[REST_BITS:], self.rare)),
            more.eq(upper + times),
            self.done.eq(busy[-1]),
        ]
        m.d.sync += busy.eq(Cat(self.start, busy))
        with m.If(self.start):
            m.d.sync += [lower.eq(self.place[:REST_BITS]), upper.eq(0)]
        with m.If(busy[0]):
            m.d.sync += found.eq(read.data)
        with m.If(busy[1 : 1 + DIGITS].any()):
            m.d.sync += [
                lower.eq(Cat(lower[DIGIT_BITS:], more[:DIGIT_BITS])),
                upper.eq(more >> DIGIT_BITS),
            ]
        with m.If(busy[-2]):
            m.d.sync += self.result.eq(
                found.value + (product >> REST_BITS) + product[REST_BITS - 1]
            )
        return m
