"""SerialNormalizer, as emitted Verilog: the activation words of the normalizer's golden model."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.vector.serial_normalizer import SerialNormalizer
from unit import test_normalizer as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def equals_golden(dut):
    """Words of any length, with pauses of both sides."""
    shape = settings_from_env()["shape"]
    await on_verilog(dut, SerialNormalizer, unit.test_serial_matches_golden, *shape)


@pytest.mark.parametrize("shape", [(4, 1), (8, 4)], ids=str)
def test_serial_normalizer(shape, sim, seed):
    """Rows and lanes, as of tiny and of small."""
    component = component_of(SerialNormalizer, unit.test_serial_matches_golden, *shape)
    run(
        component, component.config, test_module="test_serial_normalizer",
        tag="{}-{}".format(*shape), sim=sim, seed=seed, settings={"shape": shape},
    )  # fmt: skip
