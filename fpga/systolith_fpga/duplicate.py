"""Copies of registers and LUTs that drive many cells, each for cells that belong together."""

import collections
import json
import os.path
import re
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

__all__ = ["duplicate", "duplicate_file"]

Module = dict[str, typing.Any]
"""A module of a netlist as yosys writes it in JSON."""

Sink = tuple[str, str, int]
"""An input that a bit drives: cell, port, and which bit of the port."""

COPIED = ("LUT4", "TRELLIS_FF")
"""What is copied, and in which order: copies of LUTs are sinks of the registers before them."""

OUTPUTS = {"LUT4": "Z", "TRELLIS_FF": "Q"}
PAIRED = {"ALUT", "BLUT"}
"""Inputs of PFUMX, beside which the LUTs have to be that drive them."""


def duplicate_file(path: Path, name: str, most: int) -> int:
    """Replace the netlist in ``path`` by one in which module ``name`` has :func:`duplicate` done.

    Returns how many cells were added.
    """
    netlist = json.loads(path.read_text())
    added = duplicate(netlist["modules"][name], most)
    path.write_text(json.dumps(netlist))
    return added


def duplicate(module: Module, most: int) -> int:
    """Copy every register and LUT that drives more than ``most`` cells; return how many are new.

    What all lanes or all parts of a unit look at comes from one register, since synthesis makes one
    of all that are equal; and a placer can put that near some of them only. So each copy drives
    at most ``most`` cells, as near to one another in the hierarchy of the design as can be. What
    drives half as many, in more than two lanes, has a copy for each lane. A copy has all inputs of
    the first, and a register starts with the same value: nothing but wires changes.
    """
    bits = _Bits(module)
    added = 0
    for kind in COPIED:
        for name in [name for name, cell in module["cells"].items() if cell["type"] == kind]:
            added += _copy(module, bits, name, most)
    return added


class _Bits:
    """What the bits of a module drive; new bits."""

    def __init__(self, module: Module) -> None:
        self.sinks: dict[int, list[Sink]] = collections.defaultdict(list)
        used = [port["bits"] for port in module["ports"].values()]
        used += [net["bits"] for net in module["netnames"].values()]
        for name, cell in module["cells"].items():
            used += cell["connections"].values()
            self.add(name, cell)
        self._last = max(bit for bits in used for bit in bits if isinstance(bit, int))

    def add(self, name: str, cell: dict[str, typing.Any]) -> None:
        """Take note of what drives a cell."""
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                for index, bit in enumerate(bits):
                    if isinstance(bit, int):
                        self.sinks[bit].append((name, port, index))

    def new(self) -> int:
        """Return a bit that nobody uses."""
        self._last += 1
        return self._last


def _copy(module: Module, bits: _Bits, name: str, most: int) -> int:
    """Copy one cell as often as needed; return how often."""
    cells = module["cells"]
    cell = cells[name]
    output = OUTPUTS[cell["type"]]
    sinks = bits.sinks[cell["connections"][output][0]]
    lanes = _lanes(sinks) if len(sinks) > most // 2 else [sinks]
    groups = [group for lane in lanes for group in _groups(lane, most, 0)]
    if len(groups) < 2 or any(port in PAIRED for _, port, _ in sinks):
        return 0
    own = (name, "", 0)
    first, *others = sorted(groups, key=lambda sinks: _common([own, *sinks]) != _common(sinks))
    bits.sinks[cell["connections"][output][0]] = first
    for group in others:
        bit = bits.new()
        # In the folder that it is for, where what drives it will look for it.
        copy = ".".join([*_common(group), f"{name.rpartition('.')[2]}$copy_{bit}"])
        cells[copy] = {**cell, "connections": {**cell["connections"], output: [bit]}}
        module["netnames"][f"{copy}_{output}"] = {"hide_name": 0, "bits": [bit], "attributes": {}}
        bits.add(copy, cells[copy])
        bits.sinks[bit] = group
        for sink, port, index in group:
            cells[sink]["connections"][port][index] = bit
    return len(others)


def _lanes(sinks: Sequence[Sink]) -> list[list[Sink]]:
    """Divide sinks among folders that differ by their numbers, if there are more than two.

    Lanes that do the same at the same time are each in a place of their own.
    """
    depth = len(_common(sinks))
    folders: dict[str, list[Sink]] = collections.defaultdict(list)
    for sink in sinks:
        path = _folders(sink)
        folders[path[depth] if len(path) > depth else ""].append(sink)
    kinds = collections.Counter(map(_kind, folders))
    lanes: dict[str, list[Sink]] = collections.defaultdict(list)
    for folder, inside in folders.items():
        lanes[folder if folder != _kind(folder) and kinds[_kind(folder)] > 2 else ""] += inside
    return list(lanes.values())


def _kind(folder: str) -> str:
    """Return the name of a folder without its number."""
    return folder.rstrip("0123456789")


def _folders(sink: Sink) -> list[str]:
    """Return the folders that a sink is in, from the outermost."""
    return sink[0].split(".")[:-1]


def _common(sinks: Sequence[Sink]) -> list[str]:
    """Return the folders that all sinks are in."""
    return list(os.path.commonprefix([_folders(sink) for sink in sinks]))


def _groups(sinks: Sequence[Sink], most: int, depth: int) -> list[list[Sink]]:
    """Divide sinks into groups of at most ``most``, along the folders of their names.

    ``depth`` is how many folders all of them have in common.
    """
    if len(sinks) <= most:
        return [list(sinks)]
    folders: dict[str, list[Sink]] = collections.defaultdict(list)
    for sink in sinks:
        path = sink[0].split(".")
        folders[path[depth] if depth < len(path) - 1 else ""].append(sink)
    if list(folders) == [""]:
        return _slices(sinks, most)
    groups: list[list[Sink]] = []
    together: list[Sink] = []
    for folder in sorted(folders, key=_natural):
        inside = folders[folder]
        if len(inside) > most:
            groups += _groups(inside, most, depth + 1) if folder else _slices(inside, most)
        elif len(together) + len(inside) <= most:
            together += inside
        else:
            groups.append(together)
            together = inside
    return [*groups, *([together] if together else [])]


def _slices(sinks: Sequence[Sink], most: int) -> list[list[Sink]]:
    """Divide the sinks of one folder in the order of their names, which ends with bits."""
    ordered = sorted(sinks, key=lambda sink: _natural(sink[0]))
    number = -(-len(ordered) // most)
    size = -(-len(ordered) // number)
    return [ordered[first : first + size] for first in range(0, len(ordered), size)]


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key by which ``bit_10`` comes behind ``bit_9``."""
    return [
        (int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


if __name__ == "__main__":
    file, module_name, number = sys.argv[1:]
    print(duplicate_file(Path(file), module_name, int(number)), "copies")
