"""Where an array's multipliers and memories stand on a device of which it takes a large part."""

import math

from systolith_hw.budget import memory_budget
from systolith_hw.config import Config

from .lane_plan import lane_blocks, wide_blocks
from .sites import Grid, Site, exchange, nearest, settle

__all__ = ["PLACER", "floorplan"]

PLACER = "static"
"""The placer of nextpnr that does well, above all around a floorplan. The usual one packs all that
is free into one part of the chip, where there are not wires enough: of `small` it makes 310,000
tiles of wire, which cannot be routed, this one 270,000, and 230,000 with a floorplan."""

SMALL = 4
"""An array with less than this part of the multipliers is placed well without a floorplan."""

Block = tuple[tuple[int, int], ...]
"""Column and row of the group of multipliers of each two columns of the array, from the first."""


def floorplan(config: Config, grid: Grid | None, spare: int = 0) -> list[str]:
    """Return the yosys commands that tell nextpnr where to put the array; none if it need not know.

    ``spare`` block memories at the end of the lowest row are left to what is around the core.

    Placers see an array as loose multipliers that all pull at the same sums. Those of a large one
    end up anywhere, rows across the whole chip. So two rows, which add
    their products first, stand in one block, with their memories below, and blocks that follow one
    another are neighbours. One that takes half of the multipliers goes around the chip, so that
    what feeds its first block and follows its last is beside both. A larger one would shut that in:
    it keeps to the upper rows of multipliers, and comes down to the lowest where it begins
    and ends. ::

        1  0          1  2  3  4  5  6      blocks of two rows each; sums go from 0 to the last
        2  s          1  2  3  4  5  6
        3  s          0     s     7
           w             w

    Tables and scale memory go into the middle, since they belong to what follows: of more than four
    lanes, in two rows. The blocks of wide memory go below them, close to one another.
    """
    if grid is None or config.short_pipelines:
        return []
    rows, columns = config.array.rows, config.array.columns
    if SMALL * rows * columns <= grid.multipliers:
        return []
    blocks = _blocks(grid, rows // 2, columns // 2)
    if not blocks:
        return []
    places = {}
    for row in range(rows):
        for column in range(columns):
            x, name = grid.MULTIPLIERS[column % 2 * 2 + row % 2]
            group_x, y = blocks[row // 2][column // 2]
            places[f"row_{row}.multipliers.multiplier_{column}"] = (group_x + x, y, name)
    free = grid.memories()
    for _ in range(spare):
        free.remove(nearest(free, grid.columns[-1] + grid.MEMORIES[-1][0], grid.memory_rows[-1]))
    wanted = _banks(config, blocks)
    places = {f"array.{cell}": site for cell, site in places.items()}
    if 2 * len(wanted) < len(free):
        places |= settle(wanted, free)
        places |= _around_the_middle(config, grid, free)
    else:  # those of a row would push others from their columns, and these others
        places |= _around_the_middle(config, grid, free)
        places |= exchange(wanted, settle(wanted, free), free)
    return [
        f'setattr -set BEL "X{x}/Y{y}/{name}" c:*core.{cell}'
        for cell, (x, y, name) in places.items()
    ]


def _banks(config: Config, blocks: list[Block]) -> dict[str, tuple[int, int]]:
    """Return column and row where each block memory of the array would best be."""
    uses = {use.memory: use for use in memory_budget(config, config.device)}
    wanted = {}
    for bank, use in (("operands", uses["operand"]), ("activations", uses["activation"])):
        count = use.blocks // use.copies
        for row in range(0, config.array.rows, config.array.rows // use.copies):
            groups = blocks[row // 2]
            name = f"array.row_{row}.{bank}"
            if len(use.parts) > 1:  # a block is a column's, or that of some
                for number, across in enumerate(use.parts):
                    for index in range(across):
                        x, y = _above(groups, index, across)
                        wanted[f"{name}.bank_{number}.memory.0.{index}"] = x + row % 2, y
                continue
            # Those of a block that feed it all belong in its middle, others near their columns.
            parts = math.gcd(count, len(groups)) if bank == "operands" else 1
            y = sum(y for _, y in groups) // len(groups)
            for index in range(count):
                x, _ = _above(groups, index % parts, parts)
                wanted[f"{name}.memory.0.{index}"] = x + row % 2, y
    return wanted


def _above(groups: Block, index: int, count: int) -> tuple[int, int]:
    """Return the group in the middle of the ``index``-th of ``count`` equal parts of a block."""
    return groups[(2 * index + 1) * len(groups) // (2 * count)]


def _around_the_middle(config: Config, grid: Grid, free: set[Site]) -> dict[str, Site]:
    """Return the places of tables, scale memory and wide memory, of those that are free."""
    middle = grid.columns[len(grid.columns) // 2]
    # Lanes side by side in one row would be a band in which there are not wires enough.
    rows = [
        (cells, grid.memory_rows[1 + number % 2])
        for number, cells in enumerate(lane_blocks(config))
    ]
    places: dict[str, Site] = {}
    for cells, y in (*rows, (wide_blocks(config), grid.memory_rows[-1])):
        sites = []
        for _ in cells:
            sites.append(nearest(free, middle, y))
            free.remove(sites[-1])
        # From left to right, so that what is one part stays together.
        places |= dict(zip(cells, sorted(sites), strict=True))
    return places


def _blocks(grid: Grid, count: int, width: int) -> list[Block]:
    """Return the places of ``count`` blocks of ``width`` groups; none if there is no room."""
    around = _around(grid, width)
    if 2 * count <= len(around):
        return around[:count]
    if width % 2:
        return []
    # Two groups high, half as wide, but for the first and the last of more than fit there.
    half = width // 2
    above, below, lowest = grid.multiplier_rows
    across = len(grid.columns) // half
    low = max(count - across, 0)
    if low > 2:
        return []
    upper: list[Block] = []
    for place in range(min(count, across)):
        columns = grid.columns[place * half : (place + 1) * half]
        upper.append(tuple((x, y) for y in (above, below) for x in columns))
    ends: list[Block] = [
        tuple((x, lowest) for x in columns)
        for columns in (grid.columns[:width], grid.columns[-width:])
    ]
    return [*ends[: min(low, 1)], *upper, *ends[1:low]]


def _around(grid: Grid, width: int) -> list[Block]:
    """Return the places of blocks of ``width`` groups, around the chip."""
    across = len(grid.columns) // width
    if across < 2:
        return []
    last, low = across - 1, len(grid.multiplier_rows) - 1
    ring = [
        *((x, 0) for x in reversed(range(last))),
        *((0, y) for y in range(1, low + 1)),
        *((x, low) for x in range(1, across)),
        *((last, y) for y in reversed(range(low))),
    ]
    return [
        tuple((column, grid.multiplier_rows[y])
              for column in grid.columns[x * width : (x + 1) * width])
        for x, y in ring
    ]
