"""Count the cells of a synthesised netlist."""

import collections
import typing
from collections.abc import Mapping

__all__ = ["count_cells", "count_units", "undriven"]

CELLS = {
    # LUTs of a CCU2C are its two; a DPR16X4 takes four as memory and two to write them.
    "LUT4": ("lut", 1),
    "CCU2C": ("lut", 2),
    "TRELLIS_DPR16X4": ("lut", 6),
    "TRELLIS_FF": ("ff", 1),
    "MULT18X18D": ("dsp", 1),
    "DP16KD": ("bram", 1),
    "PDPW16KD": ("bram", 1),
    "SB_LUT4": ("lut", 1),
    "SB_MAC16": ("dsp", 1),
    "SB_RAM40_4K": ("bram", 1),
    "SB_SPRAM256KA": ("spram", 1),
}
"""What each cell of a netlist counts as, and how many of it."""


def count_cells(cells: Mapping[str, int]) -> dict[str, int]:
    """Sum the cells of each type into what the report counts."""
    counts = {"lut": 0, "ff": 0, "dsp": 0, "bram": 0, "spram": 0}
    for cell, number in cells.items():
        kind, weight = ("ff", 1) if cell.startswith("SB_DFF") else CELLS.get(cell, ("", 0))
        if kind:
            counts[kind] += weight * number
    return counts


def count_units(netlist: dict[str, typing.Any]) -> dict[str, dict[str, int]]:
    """Count the cells of each unit: of the first two folders in a flattened cell's name."""
    cells: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for name, cell in netlist["cells"].items():
        *path, _ = name.split(".")
        cells[".".join(path[:2])][cell["type"]] += 1
    counted = {unit or "top": count_cells(kinds) for unit, kinds in cells.items()}
    return dict(sorted(counted.items(), key=lambda item: -item[1]["lut"] - item[1]["ff"]))


def undriven(module: dict[str, typing.Any]) -> list[str]:
    """Return a name of each bit of a module, as yosys writes it in JSON, that is read by a cell or
    leaves the module, and that nothing drives."""
    driven: set[int | str] = {"0", "1", "x", "z"}
    read: dict[int | str, str] = {}
    for name, port in module["ports"].items():
        if port["direction"] != "output":
            driven.update(port["bits"])
        else:
            read.update(dict.fromkeys(port["bits"], name))
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "input":
                driven.update(bits)
            else:
                read.update(dict.fromkeys(bits, f"{name}.{port}"))
    return [reader for bit, reader in read.items() if bit not in driven]
