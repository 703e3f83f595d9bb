"""SemaphoreFile, as emitted Verilog: counters in Python, cycle by cycle."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.presets import preset
from systolith_hw.sequencer.semaphores import SemaphoreFile
from unit import test_semaphores as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(rate=[0.05, 0.3, 0.9])
async def gives_what_there_is(dut, rate):
    bench, sizes = unit.test_never_gives_more_than_there_is, settings_from_env()["sizes"]
    await on_verilog(dut, SemaphoreFile, bench, *sizes, rate)


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_semaphores(name, sim, seed):
    config = preset(name)
    sizes = config.sequencer.semaphores, config.sequencer.semaphore_bits
    bench = unit.test_never_gives_more_than_there_is
    run(
        component_of(SemaphoreFile, bench, *sizes, 0.5), config, test_module="test_semaphores",
        tag=name, sim=sim, seed=seed, settings={"sizes": sizes},
    )  # fmt: skip
