"""The sampler with all its parts, as emitted Verilog: what its golden model says."""

import cocotb

from black_box import component_of, on_verilog
from harness import run
from systolith_hw.sampling.sampler import Sampler
from unit import test_sampler as unit

BENCH = (16, 8, 0.6)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def equals_golden(dut):
    await on_verilog(dut, Sampler, unit.test_sampler, *BENCH)


def test_sampler(sim, seed):
    component = component_of(Sampler, unit.test_sampler, *BENCH)
    run(component, component.config, test_module="test_sampler", tag="whole", sim=sim, seed=seed)
