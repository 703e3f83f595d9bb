"""Count the cells of a synthesised netlist."""

import collections
import typing
from collections.abc import Mapping

__all__ = ["count_cells", "count_units"]

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
