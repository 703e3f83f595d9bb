"""CounterBank, as emitted Verilog: additions in Python."""

import cocotb
import pytest

from black_box import component_of, on_verilog
from harness import config_from_env, run
from systolith_hw.control.counters import CounterBank
from systolith_hw.presets import preset
from unit import test_counters as unit


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(p=[0.03, 0.5, 1.0])
async def counts_events(dut, p):
    """Few events, many, and all in every cycle."""
    await on_verilog(dut, CounterBank, unit.test_exact_after_stop, config_from_env(), p)


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_counters(name, sim, seed):
    config = preset(name)
    component = component_of(CounterBank, unit.test_exact_after_stop, config, 1.0)
    run(component, config, test_module="test_counters", tag=name, sim=sim, seed=seed)
