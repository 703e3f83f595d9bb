"""The lines of every function that the vector unit interpolates, for one lane or two."""

from typing import Any

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..tables import SEGMENT_BITS, SEGMENTS, TABLES, Function

__all__ = ["FUNCTION_BITS", "RISE_BITS", "VALUE_BITS", "FunctionTable", "line", "place"]

VALUE_BITS = 16
"""Width of where a line begins, unsigned."""

RISE_BITS = 13
"""Width of how much it rises over its segment, signed."""

FUNCTION_BITS = (len(Function) - 1).bit_length()

SHARED_VALUE_BITS = 12
SHARED_RISE_BITS = 6
"""Lower bits of both that lie in a shared block RAM, whose two ports have 18 bits. Those above
change seldom from one segment to the next: their logic is 140 LUTs for each reader."""


def line() -> data.StructLayout:
    """Return the shape of one segment's line."""
    return data.StructLayout({"value": VALUE_BITS, "rise": signed(RISE_BITS)})


def place() -> data.StructLayout:
    """Return the shape of where a line is: the number of a segment and of a function."""
    return data.StructLayout({"segment": SEGMENT_BITS, "function": FUNCTION_BITS})


class FunctionTable(wiring.Component):
    """Look up the line of one segment of one function, for each reader.

    All lanes look up something else in each cycle. One block RAM of an ECP5 has one port of 36
    bits to read, for a lane, or two of 18 bits for two lanes, of which the upper bits of lines are
    made of logic. Block RAM is slow to show its output, so nothing but a register follows it. ::

        place ──┬──►[ block RAM ]──────────►[ register ]──► line
                └──►[ logic ]─►[ register ]─►[ register ]──►

    =========== ================================================
    Latency     2 cycles (:attr:`latency`)
    Throughput  1 line per reader and cycle; never stalls
    Golden      :data:`systolith_hw.tables.TABLES`
    =========== ================================================

    Parameters
    ----------
    readers : int
        1 or 2.

    Members
    -------
    places : In(ArrayLayout(place(), readers))
        Which line; it is undefined for the number of no :class:`~systolith_hw.tables.Function`.
    lines : Out(ArrayLayout(line(), readers))
        What was asked for two cycles before.
    """

    latency = 2

    places: data.View
    lines: data.View

    def __init__(self, readers: int = 1) -> None:
        super().__init__({
            "places": In(data.ArrayLayout(place(), readers)),
            "lines": Out(data.ArrayLayout(line(), readers)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        shared = len(self.lines) > 1
        inside: Any = line()
        if shared:
            inside = data.StructLayout({"value": SHARED_VALUE_BITS, "rise": SHARED_RISE_BITS})
        widths = {name: field.width for name, field in inside}
        lines = _lines()
        table: memory.Memory = memory.Memory(
            shape=inside,
            depth=len(lines),
            init=[{name: at[name] & (1 << widths[name]) - 1 for name in widths} for at in lines],
            attrs={"ram_style": "block"},
        )
        m.submodules.table = table
        for reader, (asked, told) in enumerate(zip(self.places, self.lines, strict=True)):
            read = table.read_port()
            m.d.comb += [read.en.eq(1), read.addr.eq(asked.as_value())]
            found: Any = Signal(line(), name=f"found_{reader}", reset_less=True)
            m.d.comb += told.eq(found)
            for name, bits in widths.items():
                upper = _logic(m, f"{name}_{reader}", [at[name] >> bits for at in lines],
                               len(found[name]) - bits, asked.as_value())  # fmt: skip
                m.d.sync += Value.cast(found[name]).eq(Cat(read.data[name], upper))
        return m


def _logic(m: Module, name: str, numbers: list[int], width: int, address: Value) -> Value:
    """Return bits of the number that ``address`` names, a cycle later, made of multiplexers.

    Equal parts of tables share one: binary decision diagrams, the first bit on top (R. Bryant,
    Graph-based algorithms for Boolean function manipulation, 1986).
    """
    found = Signal(width, name=name, reset_less=True)
    # A function that nobody asks for is like the last, which costs nothing.
    missing = (1 << len(address)) - len(numbers)
    numbers = numbers + numbers[-SEGMENTS:] * (missing // SEGMENTS)
    made: dict[tuple[int, ...], Value] = {}

    def choose(bits: tuple[int, ...], address: Value) -> Value:
        if len(set(bits)) == 1:
            return C(bits[0])
        low, high = bits[: len(bits) // 2], bits[len(bits) // 2 :]
        if low == high:
            return choose(low, address[:-1])
        if bits not in made:
            made[bits] = Signal(name=f"{name}_{len(made)}")
            m.d.comb += made[bits].eq(
                Mux(address[-1], choose(high, address[:-1]), choose(low, address[:-1]))
            )
        return made[bits]

    for bit in range(width):
        column = tuple(number >> bit & 1 for number in numbers)
        m.d.sync += found[bit].eq(choose(column, address))
    return found


def _lines() -> list[dict[str, int]]:
    """Return the contents, one function after the other in the order of their numbers."""
    return [
        {"value": value, "rise": rise}
        for function in sorted(Function)
        for value, rise in zip(TABLES[function].values, TABLES[function].rises, strict=True)
    ]
