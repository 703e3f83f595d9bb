"""Which accesses the semaphores order, by vector clocks.

Each unit has a :class:`Timeline`: its own time, which grows with every step after which others
may learn how far it has come, and for every other unit the latest time that it knows to be past.
Semaphore counts, results and stream words carry the clock of whoever gave them. Each memory has
a :class:`Shadow`, which keeps for every cell the time at which each unit last read and wrote it.
An access that meets one of another unit that it does not know to be past, where one of the two is
a write, is a :class:`Race`; that does not depend on the order in which the machine happens to
execute the units.

STORE has two timelines. It has *read* a row when it gives post_inner, but what it has written
arrives in external memory later; only post_outer says that it has.
"""

import bisect
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.isa import Unit

from ..errors import ProgramError
from .listing import describe

__all__ = ["CLOCKS", "MEMORY", "Race", "Shadow", "Timeline", "meet"]

MEMORY = len(Unit)
"""Index of external memory, as far as STORE's writes have arrived, in a clock."""

CLOCKS = len(Unit) + 1
"""Entries of a clock: one per unit, then ``MEMORY``."""

Clock = Sequence[int]


class Race(ProgramError):
    """Two instructions touch one place, at least one writes it, and nothing orders them.

    Attributes
    ----------
    memory : str
        Which memory.
    address : int
        Where.
    instructions : tuple of int
        Program addresses of the earlier and the later instruction, as the machine met them.
    """

    def __init__(self, memory: str, address: int, first: "Access", second: "Access") -> None:
        self.memory = memory
        self.address = address
        self.instructions = (first.pc, second.pc)
        super().__init__(
            f"nothing orders two accesses to {memory} {address}: it is {first}, and {second}"
        )


class Access:
    """One side of a race."""

    def __init__(self, verb: str, line: "Timeline", time: int) -> None:
        self.verb = verb
        self.unit = line.unit
        self.pc, self.raw = line.instruction_at(time)

    def __str__(self) -> str:
        text = describe(self.raw, patches=False)
        return f"{self.verb} by {self.unit.name.lower()}, instruction {self.pc} ({text})"


class Timeline:
    """How far one unit has come, and what it knows of the others.

    Parameters
    ----------
    unit : Unit
        Whose.
    index : int
        Its place in a clock.

    Attributes
    ----------
    now : int
        Time of the accesses that the unit makes now.
    known : list of int
        For each entry of a clock the latest time known to be past.
    """

    def __init__(self, unit: Unit, index: int) -> None:
        self.unit = unit
        self.index = index
        self.now = 1
        self.known = [0] * CLOCKS
        self._starts: list[int] = []
        self._instructions: list[tuple[int, bytes]] = []

    @property
    def pc(self) -> int:
        """Program address of the instruction under way."""
        return self._instructions[-1][0]

    def __str__(self) -> str:
        """Return the program address and the text of the instruction under way."""
        pc, raw = self._instructions[-1]
        return f"instruction {pc} ({describe(raw, patches=False)})"

    def begin(self, pc: int, raw: bytes) -> None:
        """Start the next instruction."""
        self.now += 1
        self._starts.append(self.now)
        self._instructions.append((pc, raw))

    def instruction_at(self, time: int) -> tuple[int, bytes]:
        """Return program address and bytes of the instruction that was under way."""
        return self._instructions[bisect.bisect_right(self._starts, time) - 1]

    def advance(self, steps: int = 1) -> int:
        """Return the time, then let ``steps`` pass."""
        time = self.now
        self.now += steps
        return time

    def join(self, clock: Clock) -> None:
        """Learn what the giver of ``clock`` knew."""
        self.known = [max(pair) for pair in zip(self.known, clock, strict=True)]

    def clock(self, time: int) -> list[int]:
        """Return what another unit learns when it hears that ``time`` is past."""
        clock = list(self.known)
        clock[self.index] = time
        return clock


def meet(lines: Iterable[Timeline]) -> None:
    """Let everything so far be past for everybody, as after a BARRIER."""
    lines = list(lines)
    past = [0] * CLOCKS
    for line in lines:
        past[line.index] = line.advance()
    for line in lines:
        line.known = list(past)


class Shadow:
    """Who last read and wrote every cell of one memory.

    Parameters
    ----------
    name : str
        What one cell is called.
    cells : int
        How many.
    lines : dict of Timeline
        Every timeline by its place in a clock.
    step : int
        Addresses from cell to cell.
    """

    def __init__(
        self, name: str, cells: int, lines: dict[int, Timeline], step: int = 1
    ) -> None:
        self.name = name
        self.cells = cells
        self.lines = lines
        self.step = step
        self._reads: dict[int, NDArray[np.int64]] = {}
        self._writes: dict[int, NDArray[np.int64]] = {}

    def read(
        self,
        line: Timeline,
        cells: NDArray[np.int64] | slice,
        time: ArrayLike,
        known: Sequence[ArrayLike] | None = None,
    ) -> None:
        """Note that ``line`` reads ``cells``; raise :class:`Race` if it may not.

        ``time`` and every entry of ``known``, by default the unit's own, broadcast to ``cells``.
        """
        self._check("read", line, cells, known, {"written": self._writes})
        self._table(self._reads, line)[cells] = time

    def write(
        self,
        line: Timeline,
        cells: NDArray[np.int64] | slice,
        time: ArrayLike,
        known: Sequence[ArrayLike] | None = None,
    ) -> None:
        """Note that ``line`` writes ``cells``, likewise."""
        tables = {"written": self._writes, "read": self._reads}
        self._check("written", line, cells, known, tables)
        self._table(self._writes, line)[cells] = time

    def require_heard(self, line: Timeline, cells: NDArray[np.int64]) -> None:
        """Raise :class:`Race` if ``line`` reads what it wrote itself, unless it has heard since
        then, from another unit, that this is past: for what is written late and read early."""
        late = self._table(self._writes, line)[cells] > line.known[line.index]
        if late.any():
            cell = int(cells[late].flat[0])
            time = int(self._writes[line.index][cell])
            raise Race(
                self.name, cell * self.step, Access("written", line, time),
                Access("read", line, line.now),
            )  # fmt: skip

    def _table(
        self, tables: dict[int, NDArray[np.int64]], line: Timeline
    ) -> NDArray[np.int64]:
        if line.index not in tables:
            tables[line.index] = np.zeros(self.cells, np.int64)
        return tables[line.index]

    def _check(self, verb, line, cells, known, tables) -> None:
        known = line.known if known is None else known
        for other_verb, table in tables.items():
            for index, times in table.items():
                other = self.lines[index]
                if other.unit == line.unit:
                    continue
                late = times[cells] > known[index]
                if late.any():
                    if isinstance(cells, slice):
                        cell = cells.start + int(np.argmax(late))
                    else:
                        cell = int(cells[late].flat[0])
                    raise Race(
                        self.name,
                        cell * self.step,
                        Access(other_verb, other, int(times[cell])),
                        Access(verb, line, line.now),
                    )
