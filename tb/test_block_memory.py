"""A block memory as external memory, as emitted Verilog."""

import random

import cocotb
import pytest

from black_box import on_verilog
from harness import config_from_env, run
from systolith_fpga.memory.block_memory import BlockMemory
from unit.block_memory_bench import RAM, bench_config, bursts_of_all


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(p=[0.2, 0.6, 1.0])
async def serves_five_clients(dut, p):
    await on_verilog(dut, BlockMemory, bursts_of_all, config_from_env(), p=p, bursts=60,
                     seed=random.randrange(1 << 16))  # fmt: skip


@pytest.mark.slow
def test_block_memory(sim, seed):
    config = bench_config()
    run(BlockMemory(config, RAM), config, test_module="test_block_memory", tag="block", sim=sim,
        seed=seed)  # fmt: skip
