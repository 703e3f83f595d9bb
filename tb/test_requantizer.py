"""Requantizer and its two parts, as emitted Verilog: the integers of their golden models."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.presets import preset
from systolith_hw.vector.requantizer import Requantizer
from systolith_hw.vector.rounding_shifter import RoundingShifter
from systolith_hw.vector.significand import Significand
from unit import test_requantizer as unit

BENCHES = {
    "Requantizer": (Requantizer, unit.test_requantizer),
    "RoundingShifter": (RoundingShifter, unit.test_rounding_shifter),
    "Significand": (Significand, unit.test_significand),
}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def equals_golden(dut):
    """There is no handshake, so nothing stalls: a value enters in every cycle."""
    settings = settings_from_env()
    await on_verilog(dut, *BENCHES[settings["bench"]], *settings["arguments"])


@pytest.mark.parametrize("bench, arguments", [
    ("Requantizer", (1, 8, 1024, 16)),
    ("Requantizer", (4, 8, 4096, 24)),
    # The widths that these have in a normalizer, and in neither of the two above.
    ("RoundingShifter", ((32, 5, 8),)),
    ("Significand", (33,)),
], ids=str)  # fmt: skip
def test_requantizer(bench, arguments, sim, seed):
    """With a lane, and as of small."""
    run(
        component_of(*BENCHES[bench], *arguments), preset("tiny"),
        test_module="test_requantizer", tag=f"{bench}{len(str(arguments))}", sim=sim, seed=seed,
        settings={"bench": bench, "arguments": arguments},
    )  # fmt: skip
