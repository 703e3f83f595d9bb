"""VectorUnit, as emitted Verilog: DRAINs leave the words that its golden models say."""

import random

import cocotb
import numpy as np
import pytest

from black_box import on_verilog
from harness import config_from_env, run
from systolith_hw.isa import DrainKind
from systolith_hw.presets import preset
from systolith_hw.vector.unit import VectorUnit
from unit import test_vector_unit as unit

STALLS = {
    "never": {},
    "random": {"p_result": 0.6, "p_stream": 0.6, "p_post": 0.6},
    "heavy": {"p_result": 0.2, "p_stream": 0.1, "p_post": 0.2},
}
"""Of the array, STORE and the semaphores."""


KINDS = (DrainKind.ACTIVATION, DrainKind.WIDE, DrainKind.STREAM)
"""Those that a core without a row unit has; it refuses others: ``tb/unit/test_vector_unit.py``."""


def drain_everything(config, stalls, seed):
    """Run a DRAIN of each kind, and some more, in any order."""
    rng = np.random.default_rng(seed)
    kinds = [int(kind) for kind in rng.permutation([*KINDS, *KINDS])]
    scales, drains = unit.plan_many(config, rng, kinds, largest=2, semaphores=True)
    bench = unit.Bench(config, scales, seed)
    bench.run(drains, **stalls)
    bench.check(drains)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stalls=list(STALLS))
async def leaves_what_golden_models_say(dut, stalls):
    config, seed = config_from_env(), random.randrange(1 << 16)
    await on_verilog(dut, VectorUnit, drain_everything, config, STALLS[stalls], seed)


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_vector_unit(name, sim, seed):
    config = preset(name).replace({"memory.scale_words": 45})
    run(VectorUnit(config), config, test_module="test_vector_unit", tag=name, sim=sim, seed=seed)
