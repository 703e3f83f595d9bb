"""What passes between the units: semaphore counts, results and stream words.

Every wait is a generator: it yields a sentence as long as it cannot go on. Whatever is handed on
carries the clock of its giver (:mod:`.races`).
"""

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config
from systolith_hw.isa import ErrorCode, Unit

from ..errors import MachineError, ProgramError
from .races import CLOCKS, Clock, Timeline

__all__ = ["Progress", "ResultFifo", "Semaphores", "WordStream"]

STREAM_WORDS = 4
"""Words on their way from DRAIN to STORE. Hardware holds at least as many."""


class Progress:
    """Counts everything that happens, so that the scheduler sees when nothing does."""

    def __init__(self) -> None:
        self.moves = 0


class Semaphore:
    """One counting semaphore, with the clocks of its counts in the order they were given."""

    def __init__(self) -> None:
        self.counts: deque[Clock] = deque()
        self.waiter: Timeline | None = None
        self.poster: Timeline | None = None
        self.posts = 0
        self.seen_takes = 0  # by whoever posts
        self.unseen_takes: deque[int] = deque()
        self.last_post = 0


class Semaphores:
    """All semaphores of one run.

    Two uses are refused, since timing would decide what they do: counts that could exceed their
    range if the waiting unit is slow, and posts of two units whose order nothing decides, because
    nobody can say which of them a wait has taken.
    """

    def __init__(self, config: Config, progress: Progress) -> None:
        self._limit = (1 << config.sequencer.semaphore_bits) - 1
        self._progress = progress
        self._semaphores = [Semaphore() for _ in range(config.sequencer.semaphores)]

    def take(self, line: Timeline, field: int) -> Iterator[str]:
        """Wait for the semaphore in a ``wait`` field, if it names one, and take a count."""
        if not field & 16:
            return
        number = field & 15
        semaphore = self._named(line, number)
        if semaphore.waiter not in (None, line):
            raise MachineError(
                ErrorCode.SEMAPHORE, line.unit, line.pc,
                f"semaphore {number} is waited for by two units, "
                f"{_name(semaphore.waiter)} and {_name(line)}",
            )  # fmt: skip
        semaphore.waiter = line
        while not semaphore.counts:
            yield f"semaphore {number}"
        line.join(semaphore.counts.popleft())
        semaphore.unseen_takes.append(line.advance())
        self._progress.moves += 1

    def post(self, line: Timeline, field: int, clock: Clock) -> None:
        """Give a count to the semaphore in a ``post`` field, if it names one."""
        if not field & 16:
            return
        number = field & 15
        semaphore = self._named(line, number)
        self._own(semaphore, line, number, clock)
        if semaphore.waiter is not None:
            past = clock[semaphore.waiter.index]
            while semaphore.unseen_takes and semaphore.unseen_takes[0] <= past:
                semaphore.unseen_takes.popleft()
                semaphore.seen_takes += 1
        semaphore.posts += 1
        if semaphore.posts - semaphore.seen_takes > self._limit:
            raise MachineError(
                ErrorCode.SEMAPHORE, line.unit, line.pc,
                f"semaphore {number} may be given more than {self._limit} counts before "
                "any is taken",
            )  # fmt: skip
        semaphore.counts.append(clock)
        self._progress.moves += 1

    def _own(self, semaphore: Semaphore, line: Timeline, number: int, clock: Clock) -> None:
        """Make ``line`` the poster, unless it may not know of another one's last count."""
        poster = semaphore.poster
        if poster is not None and poster is not line and semaphore.last_post > clock[poster.index]:
            raise ProgramError(
                f"semaphore {number} is given by two units, {_name(poster)} and "
                f"{_name(line)} (instruction {line.pc}), so timing decides which of them a "
                "wait has heard from; use one semaphore each"
            )
        semaphore.poster = line
        semaphore.last_post = clock[line.index]

    def _named(self, line: Timeline, number: int) -> Semaphore:
        if number >= len(self._semaphores):
            raise MachineError(
                ErrorCode.SEMAPHORE, line.unit, line.pc,
                f"there is no semaphore {number}, only 0 to {len(self._semaphores) - 1}",
            )  # fmt: skip
        return self._semaphores[number]


def _name(line: Timeline | None) -> str:
    return line.unit.name.lower() if line else ""


class ResultFifo:
    """The output FIFO of the array: results of C sums, each with its clock.

    Parameters
    ----------
    config : Config
        Uses ``array.output_depth``.
    progress : Progress
        Told of every move.
    """

    def __init__(self, config: Config, progress: Progress) -> None:
        self._depth = config.array.output_depth
        self._progress = progress
        self._values = np.zeros((0, config.array.columns), np.int64)
        self._clocks = np.zeros((0, CLOCKS), np.int64)

    def __len__(self) -> int:
        """Return the number of results."""
        return len(self._values)

    def push(self, values: NDArray[np.int64], line: Timeline, first: int) -> Iterator[str]:
        """Append results (n, C), the first of which the array finished at time ``first``."""
        clocks = np.tile(np.array(line.known, np.int64), (len(values), 1))
        clocks[:, Unit.ARRAY] = first + np.arange(len(values))
        while len(values):
            room = self._depth - len(self)
            if not room:
                yield "room in the output FIFO"
                continue
            self._values = np.concatenate([self._values, values[:room]])
            self._clocks = np.concatenate([self._clocks, clocks[:room]])
            values, clocks = values[room:], clocks[room:]
            self._progress.moves += 1

    def pop(self, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take up to ``most`` results (n, C) and their clocks (n, CLOCKS)."""
        taken = self._values[:most], self._clocks[:most]
        self._values, self._clocks = self._values[most:], self._clocks[most:]
        self._progress.moves += len(taken[0])
        return taken


class WordStream:
    """The activation words on their way from DRAIN to STORE.

    Attributes
    ----------
    full : bool
        DRAIN is in the middle of a token and waits for room.
    """

    def __init__(self, progress: Progress) -> None:
        self.full = False
        self._progress = progress
        self._words: deque[tuple[NDArray[np.int64], int, Clock]] = deque()

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self._words)

    def push(self, mantissas: NDArray[np.int64], exponent: int, clock: Clock) -> Iterator[str]:
        """Hand over one word."""
        while len(self._words) >= STREAM_WORDS:
            self.full = True
            yield "STORE to take its words"
        self.full = False
        self._words.append((mantissas, exponent, clock))
        self._progress.moves += 1

    def pop(self) -> tuple[NDArray[np.int64], int, Clock]:
        """Take one word: mantissas, exponent and clock."""
        self._progress.moves += 1
        return self._words.popleft()
