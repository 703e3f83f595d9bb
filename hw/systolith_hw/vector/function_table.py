"""The lines of every function that the vector unit interpolates, for one lane."""

from typing import Any

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..memory.register_copy import COPY, RegisterCopy
from ..tables import SEGMENT_BITS, TABLES, Function

__all__ = ["FUNCTION_BITS", "RISE_BITS", "VALUE_BITS", "FunctionTable", "line"]

VALUE_BITS = 16
"""Width of where a line begins, unsigned."""

RISE_BITS = 13
"""Width of how much it rises over its segment, signed."""

FUNCTION_BITS = (len(Function) - 1).bit_length()

PART_LINES = 64
"""Lines of a part of a table of logic: two levels of LUTs and the multiplexers behind them."""


def line() -> data.StructLayout:
    """Return the shape of one segment's line."""
    return data.StructLayout({"value": VALUE_BITS, "rise": signed(RISE_BITS)})


class FunctionTable(wiring.Component):
    """Look up the line of one segment of one function.

    Every lane has a table of its own, since all of them look up something else in each cycle: on
    ECP5 one block RAM (512 words of 36 bits have one port to read), or 800 LUTs where block RAM
    is dear. Block RAM is slow to show its output, and so is a table of logic: it is cut into parts,
    and what all of them say has a register, from which the second cycle chooses. ::

        segment ──►[ block RAM ]──────────────►[ register ]──► line
        segment ──►[ parts of 64 lines each ]──►[ choose, register ]──► line

    =========== ================================================
    Latency     2 cycles (:attr:`latency`)
    Throughput  1 line per cycle; never stalls
    Golden      :data:`systolith_hw.tables.TABLES`
    =========== ================================================

    Parameters
    ----------
    distributed : bool
        Build it from logic in place of block RAM.

    Members
    -------
    function : In(2)
        A :class:`~systolith_hw.tables.Function`; the line is undefined for any other number.
    segment : In(7)
        Which of the function's lines.
    line : Out(line())
        What was asked for two cycles before.
    """

    latency = 2

    function: Signal
    segment: Signal
    line: data.View

    def __init__(self, *, distributed: bool = False) -> None:
        self.distributed = distributed
        super().__init__({
            "function": In(FUNCTION_BITS),
            "segment": In(SEGMENT_BITS),
            "line": Out(line()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        address = Cat(self.segment, self.function)
        lines = _lines()
        size = PART_LINES if self.distributed else len(lines)
        inner = (size - 1).bit_length()
        # Yosys knows the word "logic"; for other tools a synchronous ROM is a matter of their own.
        attrs: dict[str, Any] = {"ram_style": "logic" if self.distributed else "block"}
        parts = []
        for first in range(0, len(lines), size):
            table: memory.Memory = memory.Memory(
                shape=line(), depth=size, init=lines[first : first + size], attrs=attrs
            )
            m.submodules[f"table_{first}"] = table
            read = table.read_port()
            m.d.comb += [read.en.eq(1), read.addr.eq(address[:inner])]
            parts.append(read.data.as_value())
        found: Any = Signal(line(), reset_less=True)
        chosen = parts[0]
        if len(parts) > 1:
            # All lanes are asked for the same function, and are far from one another.
            m.submodules[f"{COPY}_part"] = part = RegisterCopy(range(len(parts)))
            m.d.comb += part.i.eq(address[inner:])
            chosen = Array(parts)[part.o]
        m.d.sync += found.eq(chosen)
        m.d.comb += self.line.eq(found)
        return m


def _lines() -> list[dict[str, int]]:
    """Return the contents, one function after the other in the order of their numbers."""
    return [
        {"value": value, "rise": rise}
        for function in sorted(Function)
        for value, rise in zip(TABLES[function].values, TABLES[function].rises, strict=True)
    ]
