"""Copies of what drives many cells: the netlist means the same, and nothing drives too many."""

import collections
import copy
import json

import numpy as np
import pytest

from systolith_fpga.duplicate import duplicate, duplicate_file

OUTPUTS = {"LUT4": "Z", "TRELLIS_FF": "Q", "PFUMX": "Z"}


def cell(kind, output, **inputs):
    """Return a cell with one output bit."""
    connections = {name: [bit] for name, bit in inputs.items()}
    return {
        "type": kind, "parameters": {"INIT": "0110"},
        "port_directions": {**dict.fromkeys(inputs, "input"), OUTPUTS[kind]: "output"},
        "connections": {**connections, OUTPUTS[kind]: [output]},
    }  # fmt: skip


def module(cells, **ports):
    return {
        "cells": cells,
        "ports": {name: {"direction": way, "bits": [bit]} for name, (way, bit) in ports.items()},
        "netnames": {},
    }


def some_netlist(rng, sinks):
    """Return registers and LUTs in folders, of which two registers and a LUT drive many."""
    cells = {
        "a.one_FF": cell("TRELLIS_FF", 3, DI=2),
        "a.two_FF": cell("TRELLIS_FF", 4, DI=3),
        "b.gate": cell("LUT4", 5, A=3, B=4),
    }
    for number in range(sinks):
        folder = str(rng.choice(["a", "a.x", "b.x", "b.y.z", "c"]))
        cells[f"{folder}.sink_{number}"] = cell(
            "LUT4", 100 + number, A=int(rng.integers(2, 6)), B=int(rng.integers(2, 6))
        )
    return module(cells, i=("input", 2), o=("output", 4))


def meanings(netlist):
    """Return what each bit is, said without names: a cell's kind and what its inputs are."""
    drivers = {c["connections"][OUTPUTS[c["type"]]][0]: c for c in netlist["cells"].values()}

    def meaning(bit):
        if bit not in drivers:
            return bit
        driver = drivers[bit]
        inputs = sorted(
            (port, meaning(bits[0]))
            for port, bits in driver["connections"].items() if port != OUTPUTS[driver["type"]]
        )  # fmt: skip
        return driver["type"], repr(inputs)

    return meaning


def drives(netlist):
    """Return the sinks of each bit."""
    sinks = collections.defaultdict(list)
    for name, c in netlist["cells"].items():
        for port, bits in c["connections"].items():
            if c["port_directions"][port] == "input":
                sinks[bits[0]].append(name)
    return sinks


@pytest.mark.parametrize("most", [3, 8, 50])
def test_every_cell_sees_what_it_saw(most):
    before = some_netlist(np.random.default_rng(most), 80)
    after = copy.deepcopy(before)
    added = duplicate(after, most)
    assert len(after["cells"]) == len(before["cells"]) + added
    assert added or most == 50
    was, now = meanings(before), meanings(after)
    for name, c in before["cells"].items():
        for port, bits in c["connections"].items():
            assert now(after["cells"][name]["connections"][port][0]) == was(bits[0])
    assert now(after["ports"]["o"]["bits"][0]) == was(4)


def test_nothing_drives_too_many():
    netlist = some_netlist(np.random.default_rng(1), 80)
    duplicate(netlist, 8)
    sinks = drives(netlist)
    driven = {c["connections"][OUTPUTS[c["type"]]][0]: name
              for name, c in netlist["cells"].items()}  # fmt: skip
    assert max(len(sinks[bit]) for bit, name in driven.items() if name.startswith("b.gate")) <= 8
    # The first register drives copies of the other one, too, which are made behind it.
    assert max(len(sinks[bit]) for bit in driven) <= 8 + 80 // 8
    assert len(sinks[2]) > 8  # a port, of which there is one


def test_a_folder_stays_together():
    cells = {"top.from_FF": cell("TRELLIS_FF", 3, DI=2)}
    for folder, number in (("a", 5), ("b.x", 3), ("b.y", 4), ("c", 11)):
        for index in range(number):
            cells[f"{folder}.r_{index}"] = cell("LUT4", 100 + len(cells), A=3)
    netlist = module(cells, i=("input", 2))
    assert duplicate(netlist, 7) == 3
    groups = [names for bit, names in drives(netlist).items() if bit != 2]
    assert sorted(map(sorted, groups)) == [
        [f"a.r_{index}" for index in range(5)],
        [*(f"b.x.r_{index}" for index in range(3)), *(f"b.y.r_{index}" for index in range(4))],
        [*(f"c.r_{index}" for index in (0, 1, 2, 3, 4, 5))],
        sorted(f"c.r_{index}" for index in (6, 7, 8, 9, 10)),
    ]


def lanes(number):
    """Return a register in the last of several lanes, which drives three cells in each."""
    cells = {f"path.lane_{number - 1}.from_FF": cell("TRELLIS_FF", 3, DI=2)}
    for lane in range(number):
        for index in range(3):
            cells[f"path.lane_{lane}.r_{index}"] = cell("LUT4", 100 + len(cells), A=3)
    return module(cells, i=("input", 2))


def test_lanes_have_copies_of_their_own():
    netlist = lanes(4)
    assert duplicate(netlist, 20) == 3
    for name, c in netlist["cells"].items():
        if c["type"] == "TRELLIS_FF":
            driven = drives(netlist)[c["connections"]["Q"][0]]
            assert {sink.rpartition(".")[0] for sink in driven} == {name.rpartition(".")[0]}


def test_two_lanes_or_few_cells_have_not():
    assert duplicate(lanes(2), 11) == 0
    assert duplicate(lanes(4), 24) == 0


def test_a_lut_of_a_wider_one_stays_alone():
    cells = {"a.gate": cell("LUT4", 3, A=2), "a.wide": cell("PFUMX", 4, ALUT=3)}
    cells |= {f"a.r_{index}": cell("LUT4", 100 + index, A=3) for index in range(20)}
    assert duplicate(module(cells, i=("input", 2)), 8) == 0


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "netlist.json"
    netlist = some_netlist(np.random.default_rng(2), 60)
    path.write_text(json.dumps({"creator": "yosys", "modules": {"core": netlist, "shell": {}}}))
    added = duplicate_file(path, "core", 8)
    assert added == duplicate(netlist, 8) > 0
    assert json.loads(path.read_text()) == {
        "creator": "yosys", "modules": {"core": netlist, "shell": {}}
    }  # fmt: skip
