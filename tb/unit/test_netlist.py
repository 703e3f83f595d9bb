"""What reads a bit of a netlist must have what drives it."""

import json

import pytest

from systolith_fpga import synthesis
from systolith_fpga.netlist import undriven
from systolith_fpga.parts import PARTS
from systolith_sim.verilator import ToolError


def lut(operand, result):
    ports = {"A": [operand], "B": ["0"], "C": ["1"], "D": ["x"], "Z": [result]}
    return {
        "type": "LUT4", "connections": ports,
        "port_directions": {port: "output" if port == "Z" else "input" for port in ports},
    }  # fmt: skip


def module():
    """Return two LUTs one behind the other, between two ports."""
    return {
        "ports": {"i": {"direction": "input", "bits": [2]},
                  "o": {"direction": "output", "bits": [4, "0"]},
                  "pad": {"direction": "inout", "bits": [5]}},
        "cells": {"first": lut(2, 3), "second": lut(3, 4), "third": lut(5, 6)},
    }  # fmt: skip


def test_all_is_driven():
    assert undriven(module()) == []


@pytest.mark.parametrize("lost, said", [("first", ["second.A"]), ("second", ["o"])])
def test_what_has_lost_its_driver(lost, said):
    netlist = module()
    del netlist["cells"][lost]
    assert undriven(netlist) == said


@pytest.mark.parametrize("lost", ["", "first"])
def test_synthesis_refuses_it(lost, monkeypatch, tmp_path):
    def yosys(*_, folder, **__):
        netlist = {"systolith": module(), "BOX": {"ports": {}, "cells": {}}}
        netlist["systolith"]["cells"].pop(lost, None)
        (folder / synthesis.NETLIST).write_text(json.dumps({"modules": netlist}))

    monkeypatch.setattr(synthesis, "run_tool", yosys)
    part = PARTS["ice40-up5k"]
    if not lost:
        assert synthesis.synthesise(part, tmp_path, [], top="systolith")
        return
    with pytest.raises(ToolError, match=r"nothing drives 1 bits of .*, such as systolith: second"):
        synthesis.synthesise(part, tmp_path, [], top="systolith")
