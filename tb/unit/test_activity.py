"""What a verilated core is seen to do: the same counts as its own counters', cut into rows."""

import numpy as np
import pytest

from systolith.bench import workload
from systolith.compiler.matmul import plan_matmul
from systolith.product import Product
from systolith_hw.isa import Opcode, decode
from systolith_hw.presets import preset
from systolith_sim.device import VerilatedDevice

BIN = 16


@pytest.fixture(scope="module")
def seen():
    """Counters of a product's programs, what was seen of them, and the last program."""
    config = preset("small")
    rng = np.random.default_rng(3)
    plan = plan_matmul(config, 6, 64, 40, operands="stream")
    product = Product.quantize(config, rng.normal(size=(6, 64)), rng.normal(size=(64, 40)))
    load = workload(plan, product)
    with VerilatedDevice(config, memory_bytes=1 << 20, activity=BIN) as device:
        outcome = load.execute(device)
        return outcome.counters, device.activity, load.programs["main"][1]


def test_counts_are_the_counters(seen):
    counters, activity, _ = seen
    assert activity.cycles == counters["CYCLES"]
    for rows in (activity.bins, activity.steps):
        for name, counts in rows.items():
            assert counts.sum() == counters[name], name


def test_rows_cover_all_cycles(seen):
    _, activity, _ = seen
    assert activity.bin_lengths[:-1].tolist() == [BIN] * (len(activity.bin_begins) - 1)
    assert 0 < activity.bin_lengths[-1] <= BIN
    assert activity.step_lengths.sum() == activity.bin_lengths.sum() == activity.cycles
    assert (activity.step_lengths > 0).all()
    for name, counts in activity.bins.items():
        if name != "SATURATIONS":
            assert (counts <= activity.bin_lengths).all(), name


def test_steps_are_those_of_the_array(seen):
    _, activity, program = seen
    assert (np.diff(activity.addresses) != 0).all()
    for address, busy in zip(activity.addresses, activity.steps["ARRAY_BUSY"], strict=True):
        if busy:
            instruction, _ = decode(program[32 * address : 32 * address + 32])
            assert instruction.opcode == Opcode.MATMUL


def test_without_being_asked_nothing_is_seen():
    with VerilatedDevice(preset("small"), memory_bytes=1 << 12) as device:
        assert not hasattr(device._library, "device_activity")
