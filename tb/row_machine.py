"""The functional machine's units VECTOR and ROW alone: what they do with sums that somebody gives.

Programs are those of a whole core, but the array is not there: sums are random, and MATMUL is left
out. LOAD and STORE may not occur; BARRIER cuts a program into *parts*.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_BITS, Config
from systolith_hw.isa import DrainKind, Opcode, Unit
from systolith_sim.machine.memory import ChipMemory, ExternalMemory
from systolith_sim.machine.races import CLOCKS, Shadow, meet
from systolith_sim.machine.row import row
from systolith_sim.machine.run import Run
from systolith_sim.machine.scheduler import Job, Scheduler, decode_job
from systolith_sim.machine.vector import drain
from systolith_sim.sequencer import expand

__all__ = ["UNITS", "Cell", "Part", "RowMachine", "Token", "random_chip"]

UNITS = (Unit.VECTOR, Unit.ROW)
WRITTEN = ("operand", "activation", "wide")
"""Memories whose writes can be seen from outside."""

Cell = tuple[str, int]


@dataclass
class Token:
    """What a token of an instruction writes, and the counts that are given when it has.

    Attributes
    ----------
    left : int
        How many writes it makes.
    posts : dict
        Semaphore by "inner" and "outer".
    """

    left: int = 0
    posts: dict[str, int] = field(default_factory=dict)


@dataclass
class Part:
    """What comes before a BARRIER.

    Attributes
    ----------
    instructions : dict
        For each unit its instructions, as the sequencer issues them.
    results : list
        Sums (n, C).
    tokens : dict
        For each unit its tokens.
    writers : dict
        For a memory, by name, and an address the tokens that write there, in order: race-free
        programs leave no doubt about that.
    streamed : list
        Mantissas and exponent of each word of the stream.
    counts : Counter
        As :class:`systolith_sim.machine.machine.RunResult` has them, of this part and all before.
    chip : ChipMemory
        All memories afterwards.
    """

    instructions: dict[Unit, list[int]] = field(default_factory=lambda: {u: [] for u in UNITS})
    results: list[NDArray[np.int64]] = field(default_factory=list)
    tokens: dict[Unit, list[Token]] = field(default_factory=lambda: {u: [] for u in UNITS})
    writers: dict[Cell, deque[Token]] = field(default_factory=lambda: defaultdict(deque))
    streamed: list[tuple[list[int], int]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    chip: Any = None


def random_chip(config: Config, rng: np.random.Generator) -> ChipMemory:
    """Return memories full of random numbers: scores some powers of two apart, rows of any size."""
    chip = ChipMemory(config)
    wide, scale = chip.wide.shape, chip.scale.shape
    size = rng.integers(0, 25, (len(chip.wide), 1))
    chip.wide[:] = rng.integers(-(1 << 31), 1 << 31, wide) >> size
    chip.scale[:] = rng.integers(1 << SCALE_BITS - 1, 1 << SCALE_BITS, scale)
    chip.shift[:] = rng.integers(14, 34, scale)
    chip.bias[:] = rng.integers(-(1 << 20), 1 << 20, scale)
    return chip


class Sums:
    """As many random results as anyone wants, in place of the array's FIFO; small and large."""

    def __init__(self, config: Config, rng: np.random.Generator) -> None:
        self.config = config
        self.rng = rng
        self.given: list[NDArray[np.int64]] = []

    def __len__(self) -> int:
        return 1

    def pop(self, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return results (most, C) and their clocks."""
        bits = self.config.array.accumulator_bits
        x = self.rng.integers(
            -(1 << bits - 1), 1 << bits - 1, (most, self.config.array.columns)
        ) >> self.rng.integers(0, bits, (most, 1))
        self.given.append(x)
        return x, np.zeros((most, CLOCKS), np.int64)


class Stream:
    """Takes all words, in place of STORE."""

    full = False

    def __init__(self) -> None:
        self.words: list[tuple[list[int], int]] = []

    def push(self, mantissas: NDArray[np.int64], exponent: int, clock: Any) -> Iterator[str]:
        """Take a word."""
        self.words.append((mantissas.tolist(), exponent))
        return iter(())


class WatchedShadow(Shadow):
    """A shadow that notes for each token which cells it writes."""

    def __init__(self, shadow: Shadow, memory: str, note: Any) -> None:
        super().__init__(shadow.name, shadow.cells, shadow.lines, shadow.step)
        self._memory = memory
        self._note = note

    def write(self, line: Any, cells: Any, time: Any, known: Any = None) -> None:
        """Do what a shadow does, and note it."""
        super().write(line, cells, time, known)
        self._note(Unit(line.unit), self._memory, np.atleast_2d(cells))


class RowMachine:
    """Runs programs on VECTOR and ROW, and tells what leaves them.

    Parameters
    ----------
    config : Config
        With a row unit.
    chip : ChipMemory
        What is there at first.
    rng : Generator
        Of the sums.
    """

    def __init__(self, config: Config, chip: ChipMemory, rng: np.random.Generator) -> None:
        self.config = config
        self._sums, self._stream = Sums(config, rng), Stream()
        run: Any = Run(config, deepcopy(chip), ExternalMemory(64))
        run.results, run.stream = self._sums, self._stream
        for memory in WRITTEN:
            shadow = getattr(run.shadows, memory)
            setattr(run.shadows, memory, WatchedShadow(shadow, memory, self._note))
        self._run: Run = run
        self._parts = [Part()]
        # For each unit and memory the tokens whose cells are not known yet.
        self._nameless: dict[tuple[Unit, str], deque[Token]] = {}
        self._times: dict[Unit, int] = {}

    def run(self, program: bytes) -> list[Part]:
        """Return the parts of ``program``, which ends with END."""
        executors = {Unit.ARRAY: lambda _: iter(()), **dict.fromkeys(UNITS, self._execute)}
        scheduler = Scheduler(
            self.config, self._run.progress, executors, self._barrier, lambda _: None,
            lambda _, idle: idle,
        )  # fmt: skip
        issued = expand(program, {}, self.config, lambda *_: None)
        clock = self._run.lines[Unit.SEQUENCER]
        scheduler.run(decode_job(item.pc, item.raw, clock.clock(clock.now - 1)) for item in issued)
        return self._parts[:-1]

    def _execute(self, job: Job) -> Iterator[str]:
        """Begin an instruction."""
        part, f = self._parts[-1], job.fields
        part.instructions[job.unit].append(int.from_bytes(job.raw, "little"))
        tokens = [Token() for _ in range(f["tokens"] * f.get("groups", 1))]
        for number, token in enumerate(tokens, 1):
            ends = {"inner": True, "outer": number % f["tokens"] == 0}
            token.posts = {
                name: f[f"post_{name}"] & 15
                for name, end in ends.items() if end and f[f"post_{name}"]
            }  # fmt: skip
        part.tokens[job.unit] += tokens
        self._nameless |= {(job.unit, memory): deque(tokens) for memory in WRITTEN}
        values = job.opcode == Opcode.DRAIN and f["kind"] == DrainKind.VALUES
        self._times[job.unit] = self.config.beats_per_result if values else 1
        self._run.lines[job.unit].begin(job.pc, job.raw)
        self._run.lines[job.unit].join(job.issued)
        return (drain if job.opcode == Opcode.DRAIN else row)(self._run, job)

    def _note(self, unit: Unit, memory: str, cells: NDArray[np.int64]) -> None:
        """Give the cells (tokens, count) to the tokens that come next."""
        for own in cells.tolist():
            token = self._nameless[unit, memory].popleft()
            for cell in own:
                token.left += self._times[unit]
                self._parts[-1].writers[memory, cell] += [token] * self._times[unit]

    def _barrier(self, job: Job) -> None:
        """Close a part."""
        part, run = self._parts[-1], self._run
        part.results, self._sums.given = self._sums.given, []
        part.streamed, self._stream.words = self._stream.words, []
        part.counts, part.chip = run.counts.copy(), deepcopy(run.chip)
        self._parts.append(Part())
        meet(run.lines.values())
