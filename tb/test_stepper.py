"""BeatStepper, as emitted Verilog: the values and words of its golden models."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.vector.stepper import BeatStepper
from unit import test_stepper as unit

BENCHES = {"values": unit.test_values, "words": unit.test_words}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def equals_golden(dut):
    settings = settings_from_env()
    await on_verilog(dut, BeatStepper, BENCHES[settings["bench"]], *settings["arguments"])


@pytest.mark.parametrize("bench, arguments", [
    ("values", (1, 1024, 15)), ("values", (2, 1024, 16)),
    ("words", (4, 1, 0.3)), ("words", (8, 4, 1.0)),
], ids=str)  # fmt: skip
def test_stepper(bench, arguments, sim, seed):
    """One lane, as of tiny, and more."""
    component = component_of(BeatStepper, BENCHES[bench], *arguments)
    run(
        component, component.config, test_module="test_stepper",
        tag=f"{bench}{arguments[0]}", sim=sim, seed=seed,
        settings={"bench": bench, "arguments": arguments},
    )  # fmt: skip
