"""A picture of what stands where on a chip."""

import collections
import json
import re
from pathlib import Path

__all__ = ["Places", "draw", "read_places"]

Places = dict[str, dict[str, int]]
"""By unit, and by place ``X,Y``: how many cells of the unit are there."""

BEL = re.compile(r"X(\d+)/Y(\d+)/")
SIDE = 7
"""Pixels of a tile."""

LEGEND = 220
MARGIN = 12
FEW = 0.002
"""Units with less than this part of the cells are drawn together."""

OTHERS = "others"


def read_places(file: Path, top: str) -> Places:
    """Read the design that nextpnr writes when it has placed it.

    A unit is named by the first two parts of its cells' names, those of the core by the second and
    third.
    """
    cells = json.loads(file.read_text())["modules"][top]["cells"]
    places: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for name, cell in cells.items():
        found = BEL.match(str(cell["attributes"].get("NEXTPNR_BEL", "")))
        if found is None:
            continue
        parts = [part for part in name.split(".") if part not in ("system", "core")]
        unit = parts[0] if len(parts) > 1 else "top"
        places[unit][f"{found[1]},{found[2]}"] += 1
    return {unit: dict(where) for unit, where in sorted(places.items())}


def draw(places: Places, title: str) -> str:
    """Return an SVG: each tile has the colour of the unit with the most cells there."""
    total = sum(sum(where.values()) for where in places.values())
    sizes = {unit: sum(where.values()) for unit, where in places.items()}
    large = sorted((unit for unit in places if sizes[unit] >= FEW * total), key=lambda u: -sizes[u])
    names = [*large, OTHERS]
    colours = {unit: f"hsl({360 * index // len(names)},65%,50%)"
               for index, unit in enumerate(names)}  # fmt: skip
    tiles: dict[tuple[int, int], collections.Counter[str]] = collections.defaultdict(
        collections.Counter
    )
    for unit, where in places.items():
        for place, count in where.items():
            x, y = map(int, place.split(","))
            tiles[x, y][unit if unit in colours else OTHERS] += count
    width = SIDE * (1 + max((x for x, _ in tiles), default=0)) + 2 * MARGIN + LEGEND
    height = SIDE * (1 + max((y for _, y in tiles), default=0)) + 2 * MARGIN + 20
    lines = [
        (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">'),
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 4}">{title}</text>',
    ]
    for (x, y), here in sorted(tiles.items()):
        unit, _ = here.most_common(1)[0]
        full = min(1.0, 0.3 + sum(here.values()) / 16)
        lines.append(
            f'<rect x="{MARGIN + SIDE * x}" y="{MARGIN + 16 + SIDE * y}" width="{SIDE - 1}" '
            f'height="{SIDE - 1}" fill="{colours[unit]}" fill-opacity="{full:.2f}"/>'
        )
    for row, unit in enumerate(names):
        y = MARGIN + 30 + 18 * row
        count = sizes.get(unit, total - sum(sizes[name] for name in large))
        lines += [
            (f'<rect x="{width - LEGEND}" y="{y - 10}" width="11" height="11" '
            f'fill="{colours[unit]}"/>'),
            f'<text x="{width - LEGEND + 18}" y="{y}">{unit}: {count:,} cells</text>',
        ]
    return "\n".join([*lines, "</svg>\n"])
