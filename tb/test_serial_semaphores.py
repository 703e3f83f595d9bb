"""SerialSemaphores, as emitted Verilog: all that is posted is given, and nothing else."""

import cocotb

from black_box import component_of, on_verilog
from harness import run, settings_from_env
from systolith_hw.presets import preset
from systolith_hw.sequencer.serial.semaphores import SerialSemaphores
from unit import test_serial_semaphores as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(rate=[0.05, 0.9])
async def gives_what_is_posted(dut, rate):
    bench, sizes = unit.test_gives_what_is_posted, settings_from_env()["sizes"]
    await on_verilog(dut, SerialSemaphores, bench, *sizes, rate)


def test_serial_semaphores(sim, seed):
    config = preset("tiny")
    sizes = config.sequencer.semaphores, config.sequencer.semaphore_bits + 2
    bench = unit.test_gives_what_is_posted
    run(
        component_of(SerialSemaphores, bench, *sizes, 0.5), config,
        test_module="test_serial_semaphores", tag="tiny", sim=sim, seed=seed,
        settings={"sizes": sizes},
    )  # fmt: skip
