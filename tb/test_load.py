"""LOAD, as emitted Verilog: beats become the rows, words and entries that memory's layouts say."""

import random

import cocotb
import pytest

from black_box import on_verilog
from harness import config_from_env, run
from systolith_hw.dma.elements import memory_depth
from systolith_hw.dma.load import LoadUnit
from systolith_hw.isa import Opcode
from systolith_hw.presets import preset
from unit import test_load as unit
from unit.dma_bench import external_memory, instruction

STALLS = {
    "never": {},
    "random": {"p_memory": 0.6, "p_ready": 0.6, "p_wait": 0.5, "p_issue": 0.5},
    "heavy": {"p_memory": 0.2, "p_ready": 0.1, "p_wait": 0.1, "p_issue": 0.1},
}
"""Of the bus, the destinations, the semaphores and the queue."""


def load_everything(config, stalls, seed):
    """Run a LOAD of each kind, in any order."""
    rng = random.Random(seed)
    memory = external_memory(config, seed)
    loads = [unit.random_load(rng, config, kind, beats_left=40) for kind in memory_depth(config)]
    rng.shuffle(loads)
    programs = [instruction(Opcode.LOAD, **fields) for fields in loads]
    result = unit.run(config, programs, memory=memory, seed=seed, deadline=20_000, **stalls)
    unit.check(config, loads, result, memory)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stalls=list(STALLS))
async def writes_what_the_layout_says(dut, stalls):
    for _ in range(2):
        seed = random.randrange(1 << 16)
        await on_verilog(dut, LoadUnit, load_everything, config_from_env(), STALLS[stalls], seed)


@pytest.mark.parametrize("name, codecs", [("tiny", False), ("small", False), ("small", True)])
def test_load(name, codecs, sim, seed):
    config = preset(name).replace({"bus.address_bits": 16, "bus.codecs": codecs})
    tag = f"{name}-codecs" if codecs else name
    run(LoadUnit(config), config, test_module="test_load", tag=tag, sim=sim, seed=seed)
