"""Block memories of a unit get places side by side."""

import copy
import json
import random

import pytest

from systolith_fpga.gather import gather, gather_file, narrowest
from systolith_fpga.parts import PARTS
from systolith_fpga.sites import Grid
from systolith_sim.verilator import ToolError

GRID: Grid = PARTS["ecp5-85k"].grid  # type: ignore[assignment]


def block(site=None):
    return {"type": "DP16KD", "attributes": {"BEL": "X{}/Y{}/{}".format(*site)} if site else {}}


def netlist(free, loose):
    """Return modules in which blocks stand everywhere but at ``free``."""
    taken = sorted(GRID.memories() - set(free))
    core = {f"core.{number}": block(site) for number, site in enumerate(taken)}
    top = {name: block() for name in loose} | {"host.lut": {"type": "LUT4", "attributes": {}}}
    return {"systolith": {"cells": core}, "top": {"cells": top}}


@pytest.mark.parametrize("count", [1, 3, 7])
def test_narrowest(count, seed):
    rng = random.Random(seed)
    for _ in range(50):
        free = set(rng.sample(sorted(GRID.memories()), 40))
        best = narrowest(free, count)
        rows = {y: sorted(x for x, row, _ in free if row == y) for _, y, _ in free}
        widths = [xs[at + count - 1] - xs[at] for xs in rows.values()
                  for at in range(len(xs) - count + 1)]  # fmt: skip
        assert len({y for _, y, _ in best}) == 1 and list(best) == sorted(best)
        assert set(best) <= free and len(best) == count and best[-1][0] - best[0][0] == min(widths)


def test_only_those_that_are_asked_for(tmp_path):
    free = [(4, 82, "EBR0"), (40, 82, "EBR0"), (42, 82, "EBR1"), (44, 46, "EBR2")]
    modules = netlist(free, ["host.a", "host.b", "memory.c"])
    before = copy.deepcopy(modules)
    assert gather(modules, "host.", GRID) == 2
    cells: dict = modules["top"]["cells"]
    assert [cells[name]["attributes"] for name in ("host.a", "host.b", "memory.c")] == [
        {"BEL": "X40/Y82/EBR0"}, {"BEL": "X42/Y82/EBR1"}, {}
    ]  # fmt: skip
    assert modules["systolith"] == before["systolith"]
    file = tmp_path / "netlist.json"
    file.write_text(json.dumps({"modules": before}))
    assert gather_file(file, "host.", "ecp5-85k") == 2
    assert json.loads(file.read_text())["modules"] == modules


def test_a_unit_without_block_memories_is_told():
    modules = netlist([(4, 82, "EBR0")], ["memory.c"])
    with pytest.raises(ToolError, match=r"no block memory that host\.\* names"):
        gather(modules, "host.", GRID)


@pytest.mark.parametrize("free, floorplan", [(2, True), (208, False)])
def test_the_placer_has_its_way(free, floorplan):
    """No row has places for all, or none has been given any."""
    sites = sorted(GRID.memories(), key=lambda site: site[::-1])[:free]
    modules = netlist(sites, ["host.a", "host.b", "host.c"])
    assert bool(modules["systolith"]["cells"]) == floorplan
    before = copy.deepcopy(modules)
    assert gather(modules, "host.", GRID) == 0 and modules == before
