"""Block memories of one unit, where a floorplan has left few places: next to one another."""

import json
import re
import sys
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

from systolith_sim.verilator import ToolError

from .parts import PARTS
from .sites import Grid, Site

__all__ = ["gather", "gather_file", "narrowest"]

BLOCK = "DP16KD"
BEL = "BEL"
SITE = re.compile(r"X(\d+)/Y(\d+)/(\w+)")


def gather_file(path: Path, prefix: str, device: str) -> int:
    """Replace the netlist in ``path`` by one in which :func:`gather` is done, for a key of
    :data:`.PARTS`; return how many blocks have places now."""
    netlist = json.loads(path.read_text())
    grid = PARTS[device].grid
    placed = gather(netlist["modules"], prefix, grid) if grid else 0
    path.write_text(json.dumps(netlist))
    return placed


def gather(modules: Mapping[str, typing.Any], prefix: str, grid: Grid) -> int:
    """Give the block memories whose names begin with ``prefix`` places; return how many.

    Placers put what is left into what is left, and a CPU whose program and registers are at both
    ends of a chip is slow. Nothing is done without a floorplan, or where no row of memories has so
    many places: then the placer has its way.

    Raises
    ------
    ToolError
        There are no such block memories.
    """
    blocks = {
        name: cell
        for module in modules.values()
        for name, cell in module["cells"].items()
        if cell["type"] == BLOCK
    }
    taken = {_site(cell) for cell in blocks.values() if BEL in cell["attributes"]}
    loose = sorted(
        name for name, cell in blocks.items()
        if name.startswith(prefix) and BEL not in cell["attributes"]
    )  # fmt: skip
    if not loose:
        raise ToolError(f"no block memory that {prefix}* names is without a place")
    sites = narrowest(grid.memories() - taken, len(loose)) if taken else []
    for name, (x, y, bel) in zip(loose, sites, strict=False):
        blocks[name]["attributes"][BEL] = f"X{x}/Y{y}/{bel}"
    return len(sites)


def narrowest(free: set[Site], count: int) -> Sequence[Site]:
    """Return the ``count`` sites of one row that are nearest to one another, from left to right;
    none if no row has so many."""
    best: Sequence[Site] = []
    for row in sorted({y for _, y, _ in free}):
        sites = sorted(site for site in free if site[1] == row)
        for first in range(len(sites) - count + 1):
            some = sites[first : first + count]
            if some and (not best or _width(some) < _width(best)):
                best = some
    return best


def _width(sites: Sequence[Site]) -> int:
    return sites[-1][0] - sites[0][0]


def _site(cell: Mapping[str, typing.Any]) -> Site:
    """Return where a cell is."""
    found = SITE.fullmatch(cell["attributes"][BEL])
    assert found, cell["attributes"][BEL]
    return int(found[1]), int(found[2]), found[3]


if __name__ == "__main__":
    file, begin, name_of_device = sys.argv[1:]
    print(gather_file(Path(file), begin, name_of_device), "blocks")
