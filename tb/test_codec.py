"""Codec, as emitted Verilog: row writes of the golden model, with stalls on both sides."""

import cocotb
import pytest

from black_box import on_verilog
from harness import config_from_env, run, settings_from_env
from systolith_hw.dma.codec import Codec
from unit import test_codec as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(p=[1, 0.5])
async def equals_golden(dut, p):
    shape = settings_from_env()["shape"]
    assert unit.config_of(shape) == config_from_env()
    await on_verilog(
        dut, Codec, unit.random_streams, shape, p, p, cocotb.RANDOM_SEED, runs=4
    )


@pytest.mark.parametrize("shape", ["a beat is half an element", "two rows"])
def test_codec(shape, sim, seed):
    config = unit.config_of(shape)
    run(Codec(config), config, test_module="test_codec", tag=shape.replace(" ", "-"), sim=sim,
        seed=seed, settings={"shape": shape})  # fmt: skip
