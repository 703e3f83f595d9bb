"""FunctionTable, of one lane and of two, against the tables."""

import numpy as np
import pytest

from systolith_hw.tables import SEGMENTS, TABLES, Function
from systolith_hw.vector.function_table import VALUE_BITS, FunctionTable
from systolith_sim.vector.function import interpolate

from .test_requantizer import stream_through


@pytest.mark.parametrize("readers", [1, 2])
def test_every_line(readers):
    dut = FunctionTable(readers)
    assert dut.latency == 2
    # All of them, and then from table to table.
    places = [(function, segment) for function in Function for segment in range(SEGMENTS)]
    places += [(function, segment) for segment in range(SEGMENTS) for function in Function]
    # Each reader asks for something else.
    asked = [places, places[::-1]][:readers]
    inputs = [
        (dut.places[reader], [{"function": function, "segment": place} for function, place in at])
        for reader, at in enumerate(asked)
    ]
    told = [dut.lines[reader][part] for reader in range(readers) for part in ("value", "rise")]
    seen = stream_through(dut, inputs, told, len(places) + dut.latency)
    assert seen[dut.latency :] == [
        [part for function, segment in at
         for part in (TABLES[function].values[segment], TABLES[function].rises[segment])]
        for at in zip(*asked, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("function, rest_bits", [
    (Function.EXP2, 9), (Function.GELU, 12), (Function.SILU, 12)
])  # fmt: skip
def test_no_line_leaves_the_range(function, rest_bits):
    """What golden models clip never has to be: Pointwise relies on it."""
    place = np.arange(SEGMENTS << rest_bits)
    rest = place & (1 << rest_bits) - 1
    line = interpolate(TABLES[function], place >> rest_bits, rest, rest_bits)
    assert 0 <= line.min() and line.max() < 1 << VALUE_BITS
