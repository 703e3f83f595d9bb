"""The floorplan of an array that takes a large part of its device."""

import itertools
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


def grid_of(device):
    grid = PARTS[device].grid
    assert grid is not None
    return grid


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
        ("small", 8, 16 + 16, 15 + 21 + 4), ("ulx3s", 16, 32 + 32, 87 + 28 + 4),
        ("ulx3s-resident", 16, 160 + 4, 8 + 12 + 4),
    ],
)
def test_every_cell_has_a_place_of_its_own(name, rows, banks, more):
    placed, others = places(name)
    assert len(placed) == rows * 8 + banks
    assert len(others) == more
    count = len(placed) + more
    assert len({site for site, *_ in placed + others}) == count
    assert len({tuple(cell) for _, *cell in placed + others}) == count
    memories = [site for site, _, part, _ in placed + others if part != "multipliers"]
    assert set(memories) <= grid_of("ecp5-85k").memories()
    multipliers = [site for site, _, part, _ in placed if part == "multipliers"]
    assert len(multipliers) == 8 * rows
    assert all(site[2].startswith("MULT18_") for site in multipliers)


def multipliers(name):
    """Return columns and rows of the multipliers of each two rows of an array."""
    placed, _ = places(name)
    return [
        tuple(zip(*((x, y) for (x, y, _), row, part, _ in placed
                    if row // 2 == pair and part == "multipliers"), strict=True))
        for pair in range(preset(name).array.rows // 2)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["small", "ulx3s", "ulx3s-resident"])
def test_rows_that_add_are_together_and_those_that_follow_beside_them(name):
    middles = []
    for xs, ys in multipliers(name):
        assert max(xs) - min(xs) + max(ys) - min(ys) <= 40
        middles.append((sum(xs) / len(xs), sum(ys) / len(ys)))
    for (x, y), (next_x, next_y) in itertools.pairwise(middles):
        assert abs(x - next_x) + abs(y - next_y) < 50


def test_a_large_array_begins_and_ends_below_the_rest():
    first, *others, last = [set(ys) for _, ys in multipliers("ulx3s")]
    assert first == last == {58}
    assert all(ys == {10, 34} for ys in others)


def test_columns_are_near_their_half_of_the_memory():
    placed, _ = places("ulx3s")
    for row in range(16):
        x = {cell: x for (x, *_), number, part, cell in placed
             if number == row and part != "activations"}  # fmt: skip
        for half in range(2):
            first, last = (x[f"multiplier_{4 * half + column}"] for column in (0, 3))
            assert first - 5 < x[f"memory.0.{half}"] < last + 5


def test_memories_are_near_their_row():
    middles = [sum(ys) // len(ys) for _, ys in multipliers("ulx3s")]
    placed, _ = places("ulx3s")
    assert all(abs(y - middles[row // 2]) == (0 if middles[row // 2] == 22 else 12)
               for (_, y, _), row, part, _ in placed if part != "multipliers")  # fmt: skip


def test_a_crowd_of_memories_is_near_its_columns():
    """Those of a row in their own columns, or nearly so: they are above one another."""
    placed, _ = places("ulx3s-resident")
    columns = {(row, cell): x for (x, *_), row, part, cell in placed if part == "multipliers"}
    banks = {(row, cell): x for (x, *_), row, part, cell in placed if part == "operands"}
    away = [
        abs(banks[row, f"bank_0.memory.0.{column}"] - columns[row, f"multiplier_{column}"])
        for row in range(16) for column in range(8)
    ]  # fmt: skip
    assert max(away) < 30 and sum(away) / len(away) < 9


def test_the_blocks_of_the_same_bits_of_a_wide_word_are_together():
    _, others = places("ulx3s")
    x = {cell: x for (x, *_), _, part, cell in others if part == "wide"}
    for bits in range(7):
        stacked = [x[f"store.memory_1_{above}.0.{bits}"] for above in range(3)]
        assert max(stacked) - min(stacked) < 12


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


def test_lanes_stand_in_two_rows_each_beside_what_it_reads():
    _, others = places("ulx3s")
    sites = {cell: (x, y) for (x, y, _), _, _, cell in others}
    for lane, row in ((0, 46), (2, 46), (4, 70), (6, 70)):
        group, inside = divmod(lane, 4)
        x, y = sites[f"functions_{lane}.table.0.0"]
        assert y == row
        for bank in range(2):
            other, _ = sites[f"scales.bias_memory_{group}.bank_{bank}.memory.0.{inside}"]
            assert abs(x - other) < 20
    # So are the wide words of both rows: those of the first lanes of each come first.
    middles = [sum(sites[f"store.memory_{part}_0.0.{bits}"][0] for bits in range(7)) / 7
               for part in range(4)]  # fmt: skip
    assert max(middles[0], middles[2]) + 20 < min(middles[1], middles[3])


@pytest.mark.parametrize("name", ["ulx3s", "ulx3s-resident"])
def test_spare_memories_stand_together_at_the_end_of_the_lowest_row(name):
    grid = grid_of("ecp5-85k")
    x, y = grid.columns[-1] + 6, grid.memory_rows[-1]
    near = sorted(abs(site[0] - x) + abs(site[1] - y) for site in grid.memories())[:15]

    def taken(spare):
        """Return how far from the end the block memories are that the core takes."""
        lines = floorplan(preset(name), grid, spare)
        sites = re.findall(r"X(\d+)/Y(\d+)/EBR", str(lines))
        return len(lines), sorted(abs(int(at) - x) + abs(int(row) - y) for at, row in sites)

    (lines, usual), (same, spared) = taken(0), taken(15)
    assert lines == same and len(usual) == len(spared)
    assert usual[0] < near[-1] <= spared[0]
