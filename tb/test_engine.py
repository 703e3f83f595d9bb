"""MatrixEngine, as emitted Verilog: MATMULs between writes give the golden model's results."""

import random

import cocotb
import pytest

from black_box import on_verilog
from harness import config_from_env, run
from systolith_hw.array.engine import MatrixEngine
from systolith_hw.presets import preset
from unit.test_engine import check

STALLS = {
    "never": {"p_write": 1.0, "p_ready": 1.0},
    "random": {"p_write": 0.6, "p_ready": 0.6},
    "heavy": {"p_write": 0.2, "p_ready": 0.1},
}
"""Of all that writes, and of whom the results go to."""


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stalls=list(STALLS))
async def multiplies(dut, stalls):
    config, seed = config_from_env(), random.randrange(1 << 16)
    await on_verilog(dut, MatrixEngine, check, config, seed=seed, count=3, **STALLS[stalls])


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_engine(name, sim, seed):
    config = preset(name).replace({
        "memory.operand_tiles": 10, "memory.activation_words": 13, "array.max_k": 64
    })  # fmt: skip
    run(MatrixEngine(config), config, test_module="test_engine", tag=name, sim=sim, seed=seed)
