"""BlockNormalizer, as emitted Verilog: the mantissas and exponents of its golden model."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.vector.block_normalizer import BlockNormalizer
from unit import test_block_normalizer as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stalls=[False, True])
async def equals_golden(dut, stalls):
    """Blocks of every kind without a pause, and with pauses; nothing stalls at the outputs."""
    shape = settings_from_env()["shape"]
    await on_verilog(dut, BlockNormalizer, unit.test_every_kind, shape, stalls)


@pytest.mark.parametrize("shape", [(4, 8, 4, 8, 24), (16, 8, 8, 12, 7)], ids=str)
def test_block_normalizer(shape, sim, seed):
    component = component_of(BlockNormalizer, unit.test_every_kind, shape, False)
    run(
        component, component.config, test_module="test_block_normalizer",
        tag="-".join(map(str, shape)), sim=sim, seed=seed, settings={"shape": shape},
    )  # fmt: skip
