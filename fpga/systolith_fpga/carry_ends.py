"""Both ends of ECP5's carry chains, which nextpnr gives two logic cells each."""

import collections
import json
import sys
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["close_carry_ends", "close_carry_ends_file"]

Cell = dict[str, typing.Any]
"""A cell of a netlist as yosys writes it in JSON."""

CARRY, TABLE = "CCU2C", "LUT4"
INPUTS = "ABCD"


def close_carry_ends_file(path: Path, names: Iterable[str]) -> int:
    """Replace the netlist in ``path`` by one in which modules ``names`` have
    :func:`close_carry_ends` done. Returns how many ends are gone.
    """
    netlist = json.loads(path.read_text())
    gone = sum(close_carry_ends(netlist["modules"][name]) for name in names)
    path.write_text(json.dumps(netlist))
    return gone


def close_carry_ends(module: Cell) -> int:
    """Close carry chains; return how many ends are gone.

    Where a carry comes in from elsewhere or leaves a chain, nextpnr adds a CCU2C, two logic cells,
    to pass it on: also for a constant, and for what nobody looks at. So what nobody looks at is
    left unconnected; and where a constant comes in, the first bit's carry becomes a table of its
    two operands, and its sum a LUT of its own, one cell, if anything reads it. Nothing but cells
    changes: all bits have the values that they had.
    """
    readers = _readers(module)
    gone = 0
    for name, cell in list(module["cells"].items()):
        if cell["type"] != CARRY:
            continue
        connections = cell["connections"]
        if connections["COUT"] != ["x"] and not readers[connections["COUT"][0]]:
            _disconnect(cell, "COUT")
            gone += 1
        if connections["CIN"] in (["0"], ["1"]) and _starts_alone(cell):
            total = connections["S0"][0]
            if readers[total]:
                module["cells"][f"{name}$sum"] = _sum(cell)  # yosys names none like that
            _start(cell)
            gone += 1
    return gone


def _readers(module: Cell) -> collections.Counter[int]:
    """Count what looks at each bit: inputs of cells, and the module's outputs."""
    readers: collections.Counter[int] = collections.Counter()
    for port in module["ports"].values():
        if port["direction"] != "input":
            readers.update(port["bits"])
    for cell in module["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                readers.update(bits)
    return readers


def _disconnect(cell: Cell, port: str) -> None:
    """Leave a port unconnected; nextpnr wants it to be there."""
    cell["connections"][port] = ["x"]


def _starts_alone(cell: Cell) -> bool:
    """Return whether the first bit's sum and carry are functions of its operands A and B."""
    constant = all(cell["connections"][f"{port}0"][0] in ("0", "1") for port in "CD")
    return constant and cell["parameters"]["INJECT1_0"].strip() == "NO"


def _first_bit(cell: Cell) -> list[tuple[int, int]]:
    """Return sum and carry of the first bit, for each value of A and, above it, B."""
    table = int(cell["parameters"]["INIT0"], 2)
    c, d, carry = (int(cell["connections"][port][0]) for port in ("C0", "D0", "CIN"))
    found = []
    for operands in range(4):
        passes = table >> (operands | c << 2 | d << 3) & 1
        own = table >> operands & 1
        found.append((passes ^ carry, carry if passes else own))
    return found


def _init(bits: Sequence[int]) -> str:
    """Return the 16 bits of a table of which the others are zero."""
    return f"{sum(bit << place for place, bit in enumerate(bits)):016b}"


def _sum(cell: Cell) -> Cell:
    """Return a LUT that makes the first bit's sum."""
    connections = cell["connections"]
    operands = {"A": connections["A0"], "B": connections["B0"], "C": ["0"], "D": ["0"]}
    return {
        "hide_name": cell.get("hide_name", 0),
        "type": TABLE,
        "parameters": {"INIT": _init([total for total, _ in _first_bit(cell)])},
        "attributes": dict(cell.get("attributes", {})),
        "port_directions": {**dict.fromkeys(INPUTS, "input"), "Z": "output"},
        "connections": {**operands, "Z": connections["S0"]},
    }


def _start(cell: Cell) -> None:
    """Make the first bit's carry a table: what a carry would pass with C and D set is never
    chosen."""
    cell["parameters"]["INIT0"] = _init([carry for _, carry in _first_bit(cell)])
    cell["connections"] |= {"C0": ["1"], "D0": ["1"]}
    for port in ("CIN", "S0"):
        _disconnect(cell, port)


if __name__ == "__main__":
    file, *module_names = sys.argv[1:]
    print(close_carry_ends_file(Path(file), module_names), "ends")
