"""Pointwise, as emitted Verilog: the functions of its golden models."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run
from systolith_hw.presets import preset
from unit import test_pointwise as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def equals_golden(dut):
    """There is no handshake, so nothing stalls: a value enters in every cycle."""
    await on_verilog(dut, unit.Lane, unit.test_matches_golden, 1, 2000, cocotb.RANDOM_SEED)


@pytest.mark.parametrize("readers", [1, 2])
def test_pointwise(readers, sim, seed):
    component = component_of(unit.Lane, unit.test_matches_golden, readers, 1)
    run(component, preset("small"), test_module="test_pointwise", tag=f"table_of_{readers}",
        sim=sim, seed=seed)  # fmt: skip
