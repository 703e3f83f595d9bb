"""Accumulator, as emitted Verilog: the exact dot products of its golden model."""

import cocotb
import pytest

from black_box import on_verilog
from harness import config_from_env, run
from systolith_hw.array.accumulator import Accumulator
from unit.array_bench import small_config
from unit.test_accumulator import check


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(p_valid=[1.0, 0.5, 0.1])
async def adds_up(dut, p_valid):
    await on_verilog(dut, Accumulator, check, config_from_env(), p_valid)


CONFIGS = {
    "tiny": small_config(2, 2, window=16, max_k=16),
    "small": small_config(4, 4, window=24, max_k=16),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_accumulator(name, sim, seed):
    config = CONFIGS[name]
    run(Accumulator(config), config, test_module="test_accumulator", tag=name, sim=sim, seed=seed)
