"""A core whose registers and memories begin with anything, as in a chip that is no FPGA."""

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

ZEROS = re.compile(
    r"^(    for \((zeros_\d+_word) = 0; .*\) (?:\S+)\[\2\] = )(\d+)'[hd]0+;$", re.MULTILINE
)
"""The loop that clears a memory at its start."""

POWER_UP_CYCLES = 16


def with_random_initial_values(verilog: str, seed: int) -> str:
    """Return Verilog whose registers and memories begin with random values.

    For an odd seed those of memories are small: a watchdog of that kind would stop any program.
    """
    rng = random.Random(seed)

    def value(found: re.Match) -> str:
        bits = int(found[2])
        return f"{found[1]} = {bits}'h{rng.getrandbits(bits):x};"

    def word(found: re.Match) -> str:
        bits = int(found[3])
        draws = ", ".join(["$random(power_up_seed)"] * (bits // 32 + 1))
        return f"{found[1]}{{{draws}}}{' & 3' * (seed % 2)};"

    text, count = INITIAL.subn(value, verilog)
    assert count > 300
    text, count = ZEROS.subn(word, text)
    assert count > 10 and count == verilog.count("begin : zeros_")
    return re.sub(r"^(    integer zeros_\d+_word;)$", rf"\1 integer power_up_seed = {seed};", text,
                  flags=re.MULTILINE)  # fmt: skip


PRODUCT = re.compile(r"^(  assign \S+ += )(\$signed\(.*\)) \* (\$signed\(.*\));$", re.MULTILINE)


def with_unknown_initial_values(verilog: str) -> str:
    """Return Verilog whose registers and memories begin with X, where zero times X is zero."""
    text, count = INITIAL.subn(r"\1;", verilog)
    assert count > 300
    text, count = ZEROS.subn(r"\1\3'hx;", text)
    assert count > 10 and count == verilog.count("begin : zeros_")
    text, count = PRODUCT.subn(r"\1(\2 === 0 || \3 === 0) ? 0 : \2 * \3;", text)
    assert count > CONFIG.array.rows * CONFIG.array.columns
    return text


@pytest.mark.parametrize("bus", [
    "wishbone", *(pytest.param(bus, marks=pytest.mark.slow) for bus in ("axi4", "native"))
])  # fmt: skip
def test_reset_leaves_nothing_unknown(bus, seed):
    """Not even X in memories reaches what tells others what to do; products are the machine's."""
    rng = np.random.default_rng(seed)
    job = Job(program_address=0, memory=[], cycles=20_000, runs=product_runs(rng) + bus_runs(rng))
    text = with_unknown_initial_values(emit(CONFIG, bus=bus).verilog)
    run_job(text, CONFIG, job, top="systolith", tag=f"power-x-{bus}", sim="icarus", seed=seed,
            bus=bus, pauses=PAUSES[-1:], reset_cycles=POWER_UP_CYCLES, watch=True)  # fmt: skip


@pytest.mark.parametrize(
    "bus, power_up",
    [("wishbone", 1), *(
        pytest.param(bus, power_up, marks=pytest.mark.slow)
        for bus in ("axi4", "wishbone", "native") for power_up in (2, 3)
    )],
)  # fmt: skip
def test_reset_is_enough(bus, power_up, seed):
    """After a reset of 16 cycles nothing is left of it: products are the machine's.

    So nothing that has no reset decides anything before it has been written: the job writes the
    four registers that ``rst`` keeps.
    """
    rng = np.random.default_rng(seed)
    job = Job(program_address=0, memory=[], cycles=20_000, runs=product_runs(rng) + bus_runs(rng))
    text = with_random_initial_values(emit(CONFIG, bus=bus).verilog, power_up)
    run_job(text, CONFIG, job, top="systolith", tag=f"power{power_up}-{bus}", sim="icarus",
            seed=seed, bus=bus, pauses=PAUSES[-1:], reset_cycles=POWER_UP_CYCLES)  # fmt: skip
