"""OperandSelect and SaturatingAdder, as emitted Verilog: the integers of their golden models."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.presets import preset
from systolith_hw.vector.operand_select import OperandSelect
from systolith_hw.vector.saturating_adder import SaturatingAdder
from unit import test_operand_select as unit

BENCHES = {
    "OperandSelect": (OperandSelect, unit.test_every_way),
    "SaturatingAdder": (SaturatingAdder, unit.test_adder),
}
ARGUMENTS: dict[str, tuple[int, ...]] = {"OperandSelect": (4, 24), "SaturatingAdder": (4,)}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def equals_golden(dut):
    """There is no handshake, so nothing stalls: a beat enters in every cycle."""
    bench = settings_from_env()["bench"]
    await on_verilog(dut, *BENCHES[bench], *ARGUMENTS[bench])


@pytest.mark.parametrize("bench", BENCHES)
def test_operand_select(bench, sim, seed):
    run(
        component_of(*BENCHES[bench], *ARGUMENTS[bench]), preset("small"),
        test_module="test_operand_select", tag=bench, sim=sim, seed=seed,
        settings={"bench": bench},
    )  # fmt: skip
