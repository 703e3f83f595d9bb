"""Registers behind block memories: the netlist reads the same, with fewer cells."""

import copy
import json

import pytest

from systolith_fpga.output_registers import use_output_registers, use_output_registers_file

CLOCK, RESET, ENABLE = 2, 3, 4


def register(d, q, *, reset="0", enable=None, clock=CLOCK, init="RESET"):
    """Return a register as yosys makes it."""
    connections = {"CLK": [clock], "DI": [d], "LSR": [reset], "Q": [q]}
    if enable is not None:
        connections["CE"] = [enable]
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "1 " if enable is None else "CE", "CLKMUX": "CLK",
                       "REGSET": init},
        "port_directions": {port: "output" if port == "Q" else "input" for port in connections},
        "connections": connections,
    }  # fmt: skip


def block(width, reads="1", **outputs):
    """Return a block memory that is read on side B, whenever ``reads`` is one."""
    connections = {"CLKA": [CLOCK], "CLKB": [CLOCK], "OCEA": ["0"], "OCEB": ["1"]}
    connections |= {"CEA": ["1"], "CEB": [reads]}
    connections |= {port: [bit] for port, bit in outputs.items()}
    return {
        "type": "DP16KD",
        "parameters": {
            "REGMODE_A": "NOREG", "REGMODE_B": "NOREG",
            **{f"DATA_WIDTH_{side}": f"{width:032b}" for side in "AB"},
        },
        "port_directions": {port: "output" if port in outputs else "input"
                            for port in connections},
        "connections": connections,
    }  # fmt: skip


def lut(a, z):
    return {"type": "LUT4", "parameters": {}, "port_directions": {"A": "input", "Z": "output"},
            "connections": {"A": [a], "Z": [z]}}  # fmt: skip


def module(cells, *outputs):
    return {"cells": cells, "netnames": {},
            "ports": {"o": {"direction": "output", "bits": list(outputs)}}}  # fmt: skip


def of_two_bits(width=36, ports=("DOA0", "DOB0"), reads="1", **options):
    """Return a memory of two bits with registers behind it, whose readers are a LUT and a port."""
    memory = block(width, reads, **dict(zip(ports, (10, 11), strict=True)))
    cells = {"memory": memory, "low": register(10, 20, **options),
             "high": register(11, 21, **options), "gate": lut(20, 30)}  # fmt: skip
    return module(cells, 30, 21)


def test_registers_go_into_the_block():
    netlist = of_two_bits()
    assert use_output_registers(netlist, 8) == 2
    assert set(netlist["cells"]) == {"memory", "gate"}
    memory = netlist["cells"]["memory"]
    # Who read the registers reads the block, which shows its word as much later as they did.
    assert memory["connections"]["DOA0"] == [20]
    assert memory["connections"]["DOB0"] == [21]
    assert {memory["parameters"][f"REGMODE_{side}"] for side in "AB"} == {"OUTREG"}
    assert memory["connections"]["OCEA"] == memory["connections"]["OCEB"] == ["1"]


def test_they_keep_their_enable():
    netlist = of_two_bits(enable=ENABLE)
    assert use_output_registers(netlist, 8) == 2
    memory = netlist["cells"]["memory"]
    assert memory["connections"]["OCEA"] == memory["connections"]["OCEB"] == [ENABLE]


def test_a_narrow_block_has_one_side_read():
    netlist = of_two_bits(9, ("DOB0", "DOB1"))
    assert use_output_registers(netlist, 8) == 2
    memory = netlist["cells"]["memory"]
    assert memory["parameters"]["REGMODE_A"] == "NOREG"
    assert memory["parameters"]["REGMODE_B"] == "OUTREG"
    assert memory["connections"]["OCEA"] == ["0"]


@pytest.mark.parametrize(
    "options",
    [{"reset": RESET}, {"clock": RESET}, {"init": "SET"}],
    ids=lambda options: "-".join(options),
)
def test_other_registers_stay(options):
    netlist = of_two_bits(**options)
    before = copy.deepcopy(netlist)
    assert use_output_registers(netlist, 8) == 0
    assert netlist == before


@pytest.mark.parametrize("why", ["other reader", "port", "other enable", "no register"])
def test_all_or_none(why):
    netlist = of_two_bits(enable=ENABLE)
    cells = netlist["cells"]
    if why == "other reader":
        cells["beside"] = lut(11, 31)
    elif why == "port":
        netlist["ports"]["o"]["bits"].append(11)
    elif why == "other enable":
        cells["high"] = register(11, 21, enable=ENABLE + 1)
    else:
        cells["high"] = lut(11, 21)
    before = copy.deepcopy(netlist)
    assert use_output_registers(netlist, 8) == 0
    assert netlist == before


def test_a_block_that_may_wait_stays_as_it_is():
    netlist = of_two_bits(reads=ENABLE)
    before = copy.deepcopy(netlist)
    assert use_output_registers(netlist, 8) == 0
    assert netlist == before


def test_what_many_read_stays():
    netlist = of_two_bits()
    netlist["cells"] |= {f"gate_{index}": lut(20, 40 + index) for index in range(8)}
    before = copy.deepcopy(netlist)
    assert use_output_registers(netlist, 8) == 0
    assert netlist == before
    assert use_output_registers(netlist, 9) == 2


def test_a_block_has_but_one():
    netlist = of_two_bits()
    netlist["cells"] |= {"low_then": register(20, 40), "high_then": register(21, 41)}
    del netlist["cells"]["gate"]
    netlist["ports"]["o"]["bits"] = [40, 41]
    assert use_output_registers(netlist, 8) == 2
    assert use_output_registers(netlist, 8) == 0
    assert set(netlist["cells"]) == {"memory", "low_then", "high_then"}


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "netlist.json"
    netlist = of_two_bits()
    path.write_text(json.dumps({"creator": "yosys", "modules": {"core": netlist, "shell": {}}}))
    assert use_output_registers_file(path, "core", 8) == use_output_registers(netlist, 8) == 2
    assert json.loads(path.read_text()) == {
        "creator": "yosys", "modules": {"core": netlist, "shell": {}}
    }  # fmt: skip
