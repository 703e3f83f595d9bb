"""Pointwise, as emitted Verilog: the functions of its golden models."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run
from systolith_hw.presets import preset
from systolith_hw.vector.pointwise import Pointwise
from unit import test_pointwise as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def equals_golden(dut):
    """There is no handshake, so nothing stalls: a value enters in every cycle."""
    await on_verilog(dut, Pointwise, unit.test_matches_golden, False, 2000, cocotb.RANDOM_SEED)


@pytest.mark.parametrize("distributed", [False, True])
def test_pointwise(distributed, sim, seed):
    component = component_of(Pointwise, unit.test_matches_golden, distributed, 1)
    run(component, preset("small"), test_module="test_pointwise",
        tag="logic" if distributed else "block", sim=sim, seed=seed)  # fmt: skip
