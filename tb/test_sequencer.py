"""Sequencer, as emitted Verilog: programs become the instructions that its golden model issues."""

import random

import cocotb
import pytest

from black_box import on_verilog
from harness import config_from_env, run
from systolith_hw.presets import preset
from systolith_hw.sequencer.sequencer import Sequencer
from unit.sequencer_bench import random_program
from unit.test_sequencer import compare

STALLS = {
    "never": {},
    "random": {"pace": 0.7, "delay": 3, "p_ready": 0.6},
    "heavy": {"pace": 0.3, "delay": 20, "p_ready": 0.1},
}


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stalls=list(STALLS))
async def issues_as_golden(dut, stalls):
    """With stalls of the memory behind the fetch, and of the queues."""
    config, rng = config_from_env(), random.Random(f"{stalls} {random.random()}")
    size = 8 if config.sequencer.instructions_stand else 36
    program = random_program(rng, size, config)
    registers = {1: rng.randrange(4), 2: rng.randrange(2)}
    seed = rng.randrange(1000)
    await on_verilog(dut, Sequencer, compare, config, program, registers, seed=seed,
                     **STALLS[stalls])  # fmt: skip


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_sequencer(name, sim, seed):
    config = preset(name)
    run(Sequencer(config), config, test_module="test_sequencer", tag=name, sim=sim, seed=seed)
