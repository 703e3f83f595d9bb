"""SemaphoreFile, as emitted Verilog: counters in Python, cycle by cycle."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.limits import queues
from systolith_hw.presets import preset
from systolith_hw.sequencer.semaphores import SemaphoreFile
from unit import test_semaphores as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(rate=[0.05, 0.3, 0.9])
async def gives_what_there_is(dut, rate):
    bench, settings = unit.test_never_gives_more_than_there_is, settings_from_env()
    await on_verilog(dut, SemaphoreFile, bench, *settings["sizes"], rate, settings["units"])


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_semaphores(name, sim, seed):
    config = preset(name)
    sizes = config.sequencer.semaphores, config.sequencer.semaphore_bits
    units = len(queues(config))
    bench = unit.test_never_gives_more_than_there_is
    run(
        component_of(SemaphoreFile, bench, *sizes, 0.5, units), config,
        test_module="test_semaphores", tag=name, sim=sim, seed=seed,
        settings={"sizes": sizes, "units": units},
    )  # fmt: skip
