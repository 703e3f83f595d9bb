"""The state of one run of a program: everything that START clears."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config
from systolith_hw.isa import ErrorCode, Unit

from ..errors import MachineError
from ..vector.sampler import keep_largest
from .memory import ChipMemory, ExternalMemory
from .races import MEMORY, Shadow, Timeline
from .tokens import Progress, ResultFifo, Semaphores, WordStream

__all__ = [
    "Candidates", "Run", "Shadows", "require", "require_counts", "require_inside", "require_ring",
]  # fmt: skip


class Shadows:
    """One :class:`~.races.Shadow` per memory; a cell is what a unit accesses at once."""

    def __init__(
        self, config: Config, external: ExternalMemory, lines: dict[int, Timeline]
    ) -> None:
        memory, port = config.memory, config.bus.data_bytes
        self.operand = Shadow("operand tile", memory.operand_tiles, lines)
        self.activation = Shadow("activation word", memory.activation_words, lines)
        self.wide = Shadow("wide word", memory.wide_words, lines)
        self.scale = Shadow("scale word", memory.scale_words, lines)
        self.reference = Shadow("reference of row", config.vector.rows, lines)
        self.factor = Shadow("factor of row", config.vector.rows, lines)
        self.norm = Shadow("what NORM leaves for MEASURED, number", 1, lines)
        self.number = Shadow("what BEST or SAMPLE wrote last, number", 1, lines)
        self.external = Shadow(
            "the beat of external memory at byte", -(-external.size // port), lines, port
        )


@dataclass
class Candidates:
    """What CANDIDATES keeps for SAMPLE.

    Attributes
    ----------
    most : int
        So many at most.
    values, numbers : (count,) int64
        The largest values and their channels' numbers, which rise.
    """

    most: int
    values: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, values: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        """Hold more values against those that are kept."""
        self.values, self.numbers = keep_largest(
            np.concatenate([self.values, values]), np.concatenate([self.numbers, numbers]),
            self.most,
        )  # fmt: skip


@dataclass
class Run:
    """What the units of one run share.

    ``candidates`` is None before CANDIDATES began to keep, and ``number`` before BEST or SAMPLE
    wrote one; ``fresh`` is the clock of one that no READ of a fresh number has had.
    ``of_values`` tells which scale words last took exponents of VALUES, not of KEYS.
    """

    config: Config
    chip: ChipMemory
    external: ExternalMemory
    counts: Counter[str] = field(default_factory=Counter)
    candidates: Candidates | None = None
    number: int | None = None
    fresh: list[int] | None = None

    def __post_init__(self) -> None:
        """Begin with nothing under way."""
        self.of_values = np.zeros(self.config.memory.scale_words, bool)
        self.progress = Progress()
        self.semaphores = Semaphores(self.config, self.progress)
        self.results = ResultFifo(self.config, self.progress)
        self.stream = WordStream(self.progress)
        self.lines = {int(unit): Timeline(unit, unit) for unit in Unit}
        self.lines[MEMORY] = Timeline(Unit.STORE, MEMORY)
        self.shadows = Shadows(self.config, self.external, self.lines)

    def take(self, line: Timeline, semaphore: int) -> Iterator[str]:
        """Wait for the semaphore of a field."""
        return self.semaphores.take(line, semaphore)

    def post(self, line: Timeline, semaphore: int, time: int | None = None) -> None:
        """Give a count to the semaphore of a field: all up to ``time``, or now, is past."""
        self.semaphores.post(line, semaphore, line.clock(line.advance() if time is None else time))


def require(condition: bool, line: Timeline, code: ErrorCode, message: str) -> None:
    """Raise :class:`~systolith_sim.errors.MachineError` of the unit's instruction otherwise."""
    if not condition:
        raise MachineError(code, line.unit, line.pc, message)


def require_counts(line: Timeline, fields: dict[str, int], *names: str) -> None:
    """Refuse loop counts that are zero."""
    for name in names:
        require(fields[name] > 0, line, ErrorCode.ZERO_COUNT, f"{name} is zero")


def require_inside(line: Timeline, cells: NDArray[np.int64], shadow: Shadow) -> None:
    """Refuse addresses beyond a memory's end."""
    highest = int(cells.max())
    require(
        highest < shadow.cells, line, ErrorCode.ADDRESS_RANGE,
        f"{shadow.name} {highest} is beyond the memory of {shadow.cells}",
    )  # fmt: skip


def require_ring(line: Timeline, fields: dict[str, int], name: str, depth: int) -> None:
    """Refuse a ring that is not inside its memory, or does not hold its first address."""
    base, end, first = fields["ring_base"], fields["ring_end"], fields[name]
    require(
        base < end <= depth and first < end, line, ErrorCode.ADDRESS_RANGE,
        f"{name} {first} in the ring {base}..{end} does not fit the memory of {depth}",
    )  # fmt: skip
