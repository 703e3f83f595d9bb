"""Commands that run the generated core, as a user calls them, in every simulator."""

import json

import pytest
from typer.testing import CliRunner

from systolith.bench import START_UP
from systolith.cli import app
from systolith_hw.presets import preset
from systolith_hw.registers import counter_offsets
from systolith_sim import cosimulation

SHAPE = ["--m", "3", "--k", "41", "--n", "11"]


def bench(sim: str, *words: str, name: str = "tiny") -> dict:
    command = ["bench", "matmul", "--preset", name, *SHAPE, "--sim", sim, "--json", *words]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_bench_on_chip(sim):
    values = bench(sim, name="small")
    assert values["bit_exact"]
    assert values["macs"] == 3 * 41 * 11
    assert values["ideal_cycles"] == 3 * 6 * 2
    assert values["ideal_cycles"] < values["cycles"] <= values["ideal_cycles"] + START_UP
    assert values["counters"]["ARRAY_BUSY"] == values["ideal_cycles"]
    assert set(values["counters"]) == set(counter_offsets(preset("small")))


def test_bench_of_a_small_core(sim):
    """Its vector unit is the limit, and its sequencer slow: see ``tb/test_products.py``."""
    values = bench(sim)
    assert values["bit_exact"]
    assert values["counters"]["ARRAY_BUSY"] == values["ideal_cycles"] == 3 * 11 * 6
    assert set(values["counters"]) == set(counter_offsets(preset("tiny")))


def test_simulators_count_the_same():
    """Both run the same Verilog and the same memory, cycle by cycle."""
    missing = [name for name in cosimulation.SIMULATORS if cosimulation.missing(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    first, *others = (bench(name, "--operands", "stream") for name in cosimulation.SIMULATORS)
    for other in others:
        assert other["counters"] == first["counters"]


def test_bench_streamed(sim):
    values = bench(sim, "--operands", "stream")
    assert values["bit_exact"]
    loaded = 11 * 41 + 8 * 11 + 3 * (41 + 11) + 3 * (11 + 3)
    assert values["bytes"] >= loaded
    assert 0 < values["bandwidth_utilization"] < 1
