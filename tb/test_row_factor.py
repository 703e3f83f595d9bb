"""RowFactor, as emitted Verilog: the integers of its golden models."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.presets import preset
from systolith_hw.vector.row_factor import RowFactor
from unit import test_row_factor as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stalled_input=[False, True], stalled_output=[False, True])
async def equals_golden(dut, stalled_input, stalled_output):
    shape = settings_from_env()["shape"]
    await on_verilog(
        dut, RowFactor, unit.test_matches_golden, shape, stalled_input, stalled_output, 40,
        cocotb.RANDOM_SEED,
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(4, 8, 24, 512, 4), (2, 16, 24, 65535, 1)])
def test_row_factor(shape, sim, seed):
    component = component_of(RowFactor, unit.test_matches_golden, shape, False, False, 1)
    run(
        component, preset("small"), test_module="test_row_factor", tag=str(shape[-1]), sim=sim,
        seed=seed, settings={"shape": shape},
    )  # fmt: skip
