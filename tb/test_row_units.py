"""RowMaximum, RowSum and Moments, as emitted Verilog: the integers of their golden models."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.presets import preset
from systolith_hw.vector.moments import Moments
from systolith_hw.vector.row_maximum import RowMaximum
from systolith_hw.vector.row_sum import RowSum
from unit import test_row_units as unit

BENCHES = {
    "RowMaximum": (RowMaximum, unit.test_maximum),
    "RowSum": (RowSum, unit.test_sum),
    "Moments": (Moments, unit.test_moments),
}


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stalls=[False, True])
async def equals_golden(dut, stalls):
    """Beats without a pause, and with pauses; there is no handshake at the outputs."""
    settings = settings_from_env()
    arguments = settings["arguments"]
    if settings["bench"] == "Moments":
        await on_verilog(dut, Moments, unit.test_moments, *arguments, seed=int(not stalls))
    else:
        await on_verilog(dut, *BENCHES[settings["bench"]], *arguments, stalls)


@pytest.mark.parametrize("bench, arguments", [
    ("RowMaximum", (1,)), ("RowMaximum", (4,)), ("RowSum", (1,)), ("RowSum", (4,)),
    ("Moments", (1, 8, 15, False)), ("Moments", (4, 8, 24, True)), ("Moments", (2, 16, 24, False)),
], ids=str)  # fmt: skip
def test_row_units(bench, arguments, sim, seed):
    more = () if bench == "Moments" else (False,)
    run(
        component_of(*BENCHES[bench], *arguments, *more), preset("small"),
        test_module="test_row_units", tag=f"{bench}{'-'.join(map(str, arguments))}", sim=sim,
        seed=seed, settings={"bench": bench, "arguments": arguments},
    )  # fmt: skip
