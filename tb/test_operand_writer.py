"""OperandWriter, as emitted Verilog: the operands and scale entries of the machine."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.vector.operand_writer import OperandWriter
from unit import test_operand_writer as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def equals_machine(dut):
    """Keys and values, with pauses in front of the normaliser; nothing stalls behind it."""
    shape = settings_from_env()["shape"]
    await on_verilog(dut, OperandWriter, unit.test_operands_and_exponents, shape)


@pytest.mark.parametrize("shape", [(8, 4, 2, 8), (4, 4, 4, 8)], ids=str)
def test_operand_writer(shape, sim, seed):
    component = component_of(OperandWriter, unit.test_operands_and_exponents, shape)
    run(
        component, component.config, test_module="test_operand_writer",
        tag="-".join(map(str, shape)), sim=sim, seed=seed, settings={"shape": shape},
    )  # fmt: skip
