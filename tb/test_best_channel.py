"""BestChannel, WideWriter and SecondFactor, as emitted Verilog: what their golden models say."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.presets import preset
from systolith_hw.vector.best_channel import BestChannel
from systolith_hw.vector.second_factor import SecondFactor
from systolith_hw.vector.wide_writer import WideWriter
from unit import test_best_channel as best_channel
from unit import test_second_factor as second_factor
from unit import test_wide_writer as wide_writer

BENCHES = {
    "BestChannel": (BestChannel, best_channel.test_best, (4, True)),
    "WideWriter": (WideWriter, wide_writer.test_writes, (4, 0.5, 0.3)),
    "SecondFactor": (SecondFactor, second_factor.test_second_factor, (4,)),
}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def equals_golden(dut):
    kind, bench, arguments = BENCHES[settings_from_env()["bench"]]
    await on_verilog(dut, kind, bench, *arguments)


@pytest.mark.parametrize("bench", BENCHES)
def test_best_channel(bench, sim, seed):
    kind, function, arguments = BENCHES[bench]
    run(component_of(kind, function, *arguments), preset("small"), test_module="test_best_channel",
        tag=bench, sim=sim, seed=seed, settings={"bench": bench})  # fmt: skip
