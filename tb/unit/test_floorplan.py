"""The floorplan of an array that takes a large part of its device."""

import re

import pytest

from systolith_fpga.floorplan import floorplan
from systolith_fpga.parts import PARTS
from systolith_hw.budget import DEVICES
from systolith_hw.presets import preset

PLACE = re.compile(
    r'setattr -set BEL "X(\d+)/Y(\d+)/(\w+)" c:\*core\.array\.row_(\d+)\.(\w+)\.(.+)'
)
OTHER = re.compile(
    r'setattr -set BEL "X(\d+)/Y(\d+)/(\w+)" c:\*core\.(wide|vector\.pipeline\.path)'
    r'\.([\w.]*(?:memory|table).+)'
)


def places(name):
    """Return (column, row, site), array row, part and cell of all of the array that is placed,
    and of the rest."""
    lines = floorplan(preset(name), PARTS["ecp5-85k"].grid)
    matches = [PLACE.fullmatch(line) for line in lines]
    array = [
        ((int(x), int(y), site), int(row), part, cell)
        for x, y, site, row, part, cell in (match.groups() for match in matches if match)
    ]
    others = [
        ((int(x), int(y), site), -1, part, cell)
        for x, y, site, part, cell in (
            match.groups() for match in map(OTHER.fullmatch, lines) if match
        )
    ]
    assert len(array) + len(others) == len(lines)
    return array, others


@pytest.mark.parametrize(
    "name, rows, banks, more",
    [
        ("small", 8, 4, 15 + 21 + 4), ("ulx3s", 16, 4, 87 + 28),
        ("ulx3s-resident", 16, 10, 8 + 12),
    ],
)
def test_every_cell_has_a_place_of_its_own(name, rows, banks, more):
    placed, others = places(name)
    assert len(placed) == rows * (8 + banks)
    assert len(others) == more
    count = len(placed) + more
    assert len({site for site, *_ in placed + others}) == count
    assert len({tuple(cell) for _, *cell in placed + others}) == count
    multipliers = [site for site, _, part, _ in placed if part == "multipliers"]
    assert len(multipliers) == 8 * rows
    assert all(site[2].startswith("MULT18_") for site in multipliers)


def test_rows_that_add_are_together_and_the_last_is_beside_the_first():
    placed, _ = places("ulx3s")
    middle = {}
    for pair in range(8):
        xs, ys = zip(*((x, y) for (x, y, _), row, part, _ in placed
                       if row // 2 == pair and part == "multipliers"), strict=True)  # fmt: skip
        assert len(set(ys)) == 1
        assert max(xs) - min(xs) < 40
        middle[pair] = sum(xs) / len(xs), ys[0]
    for pair in range(8):
        (x, y), (next_x, next_y) = middle[pair], middle[(pair + 1) % 8]
        assert abs(x - next_x) + abs(y - next_y) < 40


def test_memories_are_near_their_row():
    placed, _ = places("ulx3s")
    row_y = {row: y for (_, y, _), row, part, _ in placed if part == "multipliers"}
    assert all(abs(y - row_y[row]) == 12 for (_, y, _), row, *_ in placed if y != row_y[row])


def test_the_grid_is_the_devices():
    grid, device = PARTS["ecp5-85k"].grid, DEVICES["ecp5-85k"]
    assert grid is not None
    assert grid.multipliers == device.multipliers
    assert len(grid.memories()) == device.blocks


@pytest.mark.parametrize("name", ["tiny", "wide"])
def test_others_need_none(name):
    assert floorplan(preset(name), PARTS["ecp5-85k"].grid) == []


def test_nor_do_devices_without_a_grid():
    assert floorplan(preset("ulx3s"), PARTS["ecp5-45k"].grid) == []


def test_other_memories_are_close_to_one_another():
    _, others = places("ulx3s")
    # The array comes first, and they take what is left around the middle.
    for part, spread in (("wide", 180), ("vector.pipeline.path", 130)):
        xs, ys = zip(*((x, y) for (x, y, _), _, name, _ in others if name == part), strict=True)
        assert max(xs) - min(xs) + max(ys) - min(ys) < spread
