"""Ends of carry chains: sums and carries stay as they were, and fewer cells follow in nextpnr."""

import copy
import json

import pytest

from systolith_fpga.carry_ends import close_carry_ends, close_carry_ends_file

YOSYS = {"INIT0": "1001011010101010", "INIT1": "1001011010101010",
         "INJECT1_0": "NO", "INJECT1_1": "NO"}  # fmt: skip
"""Of an adder: A + (B ^ C), D is set."""

BITS = 4
A, B, SUM, CARRY, OTHER = 10, 20, 30, 40, 50
"""The first bit of operands, sum, and of the carry behind each cell; a bit of elsewhere."""


def chain(cin, invert="0", sums=range(BITS), reads_carry=False):
    """Return an adder as yosys makes it; which of its sums are read, and whether the last carry."""
    cells = {}
    for pair in range(BITS // 2):
        inputs: dict[str, list] = {"CIN": [cin if pair == 0 else CARRY + pair - 1]}
        for half in range(2):
            bit = 2 * pair + half
            operands = (A + bit, B + bit, invert, "1")
            inputs |= {f"{port}{half}": [wire] for port, wire in zip("ABCD", operands, strict=True)}
        outputs = {f"S{half}": [SUM + 2 * pair + half] for half in range(2)}
        outputs["COUT"] = [CARRY + pair]
        cells[f"add_{pair}"] = {
            "type": "CCU2C", "parameters": dict(YOSYS),
            "port_directions": {**dict.fromkeys(inputs, "input"),
                                **dict.fromkeys(outputs, "output")},
            "connections": inputs | outputs,
        }  # fmt: skip
    bits = [*(SUM + bit for bit in sums), *([CARRY + BITS // 2 - 1] if reads_carry else [])]
    return {
        "cells": cells, "netnames": {},
        "ports": {"operands": {"direction": "input", "bits": [A + bit for bit in range(BITS)]},
                  "o": {"direction": "output", "bits": bits}},
    }  # fmt: skip


def evaluate(module, bits):
    """Return all bits of a netlist, from those that are given; nobody reads an "x"."""
    bits = dict(bits)
    left = dict(module["cells"])
    while left:
        for name, cell in left.items():
            inputs = {
                port: wire[0] for port, wire in cell["connections"].items()
                if cell["port_directions"][port] == "input"
            }  # fmt: skip
            if any(isinstance(bit, int) and bit not in bits for bit in inputs.values()):
                continue
            value = {port: bits[bit] if isinstance(bit, int) else {"0": 0, "1": 1}.get(bit)
                     for port, bit in inputs.items()}  # fmt: skip
            for port, result in OUTPUTS[cell["type"]](cell["parameters"], value).items():
                wire = cell["connections"][port][0]
                assert (wire == "x") or result in (0, 1)
                bits[wire] = result
            del left[name]
            break
        else:
            raise AssertionError("a bit has no driver")
    return bits


def table(init, value, suffix=""):
    return int(init, 2) >> sum(value[f"{p}{suffix}"] << i for i, p in enumerate("ABCD")) & 1


def carry_cell(parameters, value):
    """Return what a CCU2C gives, as yosys' model says; None is unknown."""
    carry, outputs = value["CIN"], {}
    for half in "01":
        init = parameters[f"INIT{half}"]
        passes = table(init, value, half)
        own = int(init, 2) >> (value[f"A{half}"] + 2 * value[f"B{half}"]) & 1
        outputs[f"S{half}"] = None if carry is None else passes ^ carry
        carry = carry if passes else own
    return outputs | {"COUT": carry}


OUTPUTS = {"CCU2C": carry_cell, "LUT4": lambda p, value: {"Z": table(p["INIT"], value)}}


@pytest.mark.parametrize("reads_carry", [False, True])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("cin, invert", [("0", "0"), ("1", "1"), ("1", "0"), ("0", "1")])
def test_all_sums_stay(cin, invert, first, reads_carry):
    before = chain(cin, invert, range(first, BITS), reads_carry)
    after = copy.deepcopy(before)
    assert close_carry_ends(after) == 1 + (not reads_carry)
    assert len(after["cells"]) == BITS // 2 + (first == 0)  # a LUT for the first sum
    assert after["cells"]["add_0"]["connections"]["CIN"] == ["x"]
    last = after["cells"][f"add_{BITS // 2 - 1}"]["connections"]["COUT"]
    assert last == ([CARRY + BITS // 2 - 1] if reads_carry else ["x"])
    for operands in range(1 << 2 * BITS):
        bits = {A + bit: operands >> bit & 1 for bit in range(BITS)}
        bits |= {B + bit: operands >> BITS + bit & 1 for bit in range(BITS)}
        one, other = evaluate(before, bits), evaluate(after, bits)
        total = (operands % 16) + (operands >> BITS ^ 15 * int(invert)) + int(cin)
        for place, bit in enumerate(before["ports"]["o"]["bits"], first):
            assert one[bit] == other[bit] == total >> place & 1
    again = copy.deepcopy(after)
    assert close_carry_ends(again) == 0 and again == after


def test_nothing_of_the_netlist_is_replaced():
    """Yosys names a LUT by what it reads: also by the first sum."""
    module = chain("0", reads_carry=True)
    reader = {
        "type": "LUT4", "parameters": {"INIT": f"{1:016b}"},
        "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
        "connections": {"A": [SUM], "B": ["0"], "C": ["0"], "D": ["0"], "Z": [OTHER]},
    }  # fmt: skip
    name = "add_0_S0_LUT4_Z"
    module["cells"][name] = copy.deepcopy(reader)
    assert close_carry_ends(module) == 1
    assert module["cells"][name] == reader and len(module["cells"]) == BITS // 2 + 2


def test_a_carry_from_elsewhere_stays():
    module = chain(OTHER, reads_carry=True)
    before = copy.deepcopy(module)
    assert close_carry_ends(module) == 0 and module == before


@pytest.mark.parametrize("change", [{"C0": [OTHER]}, {"D0": [OTHER]}, "INJECT1_0"])
def test_other_first_bits_stay(change):
    """One with a third operand, and one that takes no carry."""
    module = chain("0", reads_carry=True)
    first = module["cells"]["add_0"]
    if isinstance(change, str):
        first["parameters"][change] = "YES"
    else:
        first["connections"] |= change
    before = copy.deepcopy(module)
    assert close_carry_ends(module) == 0 and module == before


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "netlist.json"
    modules = {name: chain("0") for name in ("core", "top", "other")}
    path.write_text(json.dumps({"creator": "yosys", "modules": modules}))
    assert close_carry_ends_file(path, ["top", "core"]) == 4
    for name in ("core", "top"):
        close_carry_ends(modules[name])
    assert json.loads(path.read_text()) == {"creator": "yosys", "modules": modules}
