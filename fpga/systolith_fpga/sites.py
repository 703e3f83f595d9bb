"""The places of an ECP5's multipliers and block memories, and who gets which."""

from dataclasses import dataclass

__all__ = ["Grid", "Site", "exchange", "nearest", "settle"]

Site = tuple[int, int, str]
"""Column, row and name, as nextpnr has them."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The multipliers and block memories of an ECP5: rows of them, in groups of four.

    Parameters
    ----------
    columns : tuple of int
        Where each group begins; those of multipliers and of memories are one above the other.
    multiplier_rows, memory_rows : tuple of int
        Where the rows are.
    """

    columns: tuple[int, ...]
    multiplier_rows: tuple[int, ...]
    memory_rows: tuple[int, ...]

    MULTIPLIERS = ((0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5"))
    MEMORIES = ((0, "EBR0"), (2, "EBR1"), (4, "EBR2"), (6, "EBR3"))

    @property
    def multipliers(self) -> int:
        """How many there are."""
        return len(self.columns) * len(self.multiplier_rows) * len(self.MULTIPLIERS)

    def memories(self) -> set[Site]:
        """Return the place of every block memory."""
        return {
            (column + x, row, name)
            for column in self.columns
            for row in self.memory_rows
            for x, name in self.MEMORIES
        }


def settle(wanted: dict[str, tuple[int, int]], free: set[Site]) -> dict[str, Site]:
    """Take a site from those that are ``free`` for each cell: the nearest that is left. Return
    them."""
    places = {}
    for cell, (x, y) in wanted.items():
        places[cell] = nearest(free, x, y)
        free.remove(places[cell])
    return places


def exchange(
    wanted: dict[str, tuple[int, int]], places: dict[str, Site], free: set[Site]
) -> dict[str, Site]:
    """Return better places: cells change theirs with one another, or for free ones, as long as that
    brings them nearer, above all across the chip, where wires are scarcer."""

    def cost(cell: str, site: Site) -> int:
        x, y = wanted[cell]
        return 4 * (site[0] - x) ** 2 + (site[1] - y) ** 2

    owners: dict[Site, str | None] = {
        **dict.fromkeys(sorted(free)), **{site: cell for cell, site in places.items()}
    }  # fmt: skip
    places, changed = dict(places), True
    while changed:
        changed = False
        for cell in places:
            for site, other in owners.items():
                here = places[cell]
                gain = cost(cell, here) - cost(cell, site)
                if other:
                    gain += cost(other, site) - cost(other, here)
                if gain > 0:
                    owners[here], owners[site], places[cell] = other, cell, site
                    if other:
                        places[other] = here
                    changed = True
    return places


def nearest(sites: set[Site], x: int, y: int) -> Site:
    """Return the site that is nearest to a place, of two those below."""
    return min(sites, key=lambda site: (abs(site[0] - x) + abs(site[1] - y), -site[1], site[0]))
