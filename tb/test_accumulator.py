"""Accumulator, as emitted Verilog: the exact dot products of its golden model."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.array.accumulator import Accumulator
from unit import test_accumulator as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(p_valid=[1.0, 0.5, 0.1])
async def adds_up(dut, p_valid):
    await on_verilog(dut, Accumulator, unit.test_random, *settings_from_env()["shape"], p_valid)


@pytest.mark.parametrize("shape", [(2, 16), (4, 24)], ids=str)
def test_accumulator(shape, sim, seed):
    """Columns and window, as of tiny and of small."""
    component = component_of(Accumulator, unit.test_random, *shape, 1.0)
    run(
        component, component.config, test_module="test_accumulator", tag="{}-{}".format(*shape),
        sim=sim, seed=seed, settings={"shape": shape},
    )  # fmt: skip
