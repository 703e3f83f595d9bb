"""Normalizer, as emitted Verilog: the activation words of its golden model."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.vector.normalizer import Normalizer
from unit import test_normalizer as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(full=[True, False])
async def equals_golden(dut, full):
    """Full words without a pause; words of any length, with pauses."""
    rows, lanes = settings_from_env()["shape"]
    await on_verilog(dut, Normalizer, unit.test_matches_golden, rows, lanes, full)


@pytest.mark.parametrize("rows, lanes", [(4, 1), (8, 4)])
def test_normalizer(rows, lanes, sim, seed):
    component = component_of(Normalizer, unit.test_matches_golden, rows, lanes, True)
    run(
        component, component.config, test_module="test_normalizer", tag=f"{rows}-{lanes}",
        sim=sim, seed=seed, settings={"shape": (rows, lanes)},
    )  # fmt: skip
