"""A core whose registers begin with anything, as in a chip that is no FPGA."""

import random
import re

import numpy as np
import pytest

from jobs import Job
from systolith_hw.emit import emit
from test_buses import CONFIG, bus_runs, product_runs
from test_top import PAUSES, run_job

INITIAL = re.compile(
    r"^(  (?:output )?reg (?:\[[^]]*\] )?\S+ ?) = (\d+)'[hbd][0-9a-f]+;$", re.MULTILINE
)

POWER_UP_CYCLES = 16


def with_random_initial_values(verilog: str, seed: int) -> str:
    """Return Verilog whose registers, not memories, begin with random values."""
    rng = random.Random(seed)

    def value(found: re.Match) -> str:
        bits = int(found[2])
        return f"{found[1]} = {bits}'h{rng.getrandbits(bits):x};"

    text, count = INITIAL.subn(value, verilog)
    assert count > 300
    return text


@pytest.mark.parametrize(
    "bus, power_up",
    [("wishbone", 1), *(
        pytest.param(bus, power_up, marks=pytest.mark.slow)
        for bus in ("axi4", "wishbone", "native") for power_up in (2, 3)
    )],
)  # fmt: skip
def test_reset_is_enough(bus, power_up, seed):
    """After a reset of 16 cycles nothing is left of it: products are the machine's.

    So no register that has no reset decides anything before it has been written.
    """
    rng = np.random.default_rng(seed)
    job = Job(program_address=0, memory=[], cycles=20_000, runs=product_runs(rng) + bus_runs(rng))
    text = with_random_initial_values(emit(CONFIG, bus=bus).verilog, power_up)
    run_job(text, CONFIG, job, top="systolith", tag=f"power{power_up}-{bus}", sim="icarus",
            seed=seed, bus=bus, pauses=PAUSES[-1:], reset_cycles=POWER_UP_CYCLES)  # fmt: skip
