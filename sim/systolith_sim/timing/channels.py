"""What passes between units: counts of semaphores, instructions, results, turns in the datapath."""

from collections import deque

from systolith_hw.config import Config

from ..machine.scheduler import Job
from .clock import Clock, Process, Signal
from .latencies import Latencies

__all__ = ["Numbers", "Queue", "Results", "Semaphores", "Turns"]


class Counts:
    """The counts of a semaphore: when each can be taken."""

    def __init__(self, clock: Clock) -> None:
        self.times: deque[int] = deque()
        self.given = Signal(clock)


class Semaphores:
    """All semaphores.

    Parameters
    ----------
    clock : Clock
    config : Config
    latencies : Latencies
    """

    def __init__(self, clock: Clock, config: Config, latencies: Latencies) -> None:
        self._clock = clock
        self._hop = latencies.hop
        self._counts = [Counts(clock) for _ in range(config.sequencer.semaphores)]

    def take(self, field: int) -> Process:
        """Wait for the semaphore of a ``wait`` field, if there is one."""
        if not field & 16:
            return
        counts = self._counts[field & 15]
        while not counts.times:
            yield counts.given
        yield counts.times.popleft()

    def post(self, field: int, time: int) -> None:
        """Give a count of a ``post`` field for what is done at ``time``."""
        if field & 16:
            self.credit(field & 15, 1, time)

    def credit(self, number: int, count: int, time: int) -> None:
        """Give counts."""
        counts = self._counts[number]
        counts.times.extend([time + self._hop] * count)
        counts.given.wake()


class Numbers:
    """VECTOR's numbers: when the last one was written, if READ has not had it."""

    def __init__(self, clock: Clock, latency: int) -> None:
        self._latency = latency
        self._time: int | None = None
        self._given = Signal(clock)

    def put(self, time: int) -> None:
        """Say when one is written."""
        self._time = time
        self._given.wake()

    def take(self) -> Process:
        """Wait for one, and until READ has it."""
        while self._time is None:
            yield self._given
        time, self._time = self._time, None
        yield time + self._latency


class Queue:
    """Instructions in front of a unit.

    Attributes
    ----------
    under_way : int
        Instructions that wait or run.
    quiet : int
        When everything is written that the unit has begun.
    """

    def __init__(self, clock: Clock, depth: int, latency: int) -> None:
        self._clock = clock
        self._depth = depth
        self._latency = latency
        self._jobs: deque[tuple[int, Job]] = deque()
        self._changed = Signal(clock)
        self.idle = Signal(clock)
        self.under_way = 0
        self.quiet = 0
        self._stands = False

    def put(self, job: Job) -> Process:
        """Wait for room, and leave an instruction."""
        while len(self._jobs) + self._stands >= self._depth:
            yield self._changed
        self._jobs.append((self._clock.now + self._latency, job))
        self.under_way += 1
        self._changed.wake()

    def get(self, *, stands: bool = False) -> Process:
        """Wait for an instruction; :attr:`job` is it. If it ``stands`` it keeps its place until
        :meth:`leave`."""
        while not self._jobs:
            yield self._changed
        ready, self.job = self._jobs.popleft()
        self._stands = stands
        yield ready
        self._changed.wake()

    def leave(self) -> None:
        """Make room where an instruction stood."""
        self._stands = False
        self._changed.wake()

    def done(self, quiet: int) -> None:
        """Say that an instruction is over, and when all of it is written."""
        self.under_way -= 1
        self.quiet = max(self.quiet, quiet)
        self.idle.wake()


class Results:
    """The array's output FIFO: when each result arrives, and room for more.

    Parameters
    ----------
    clock : Clock
    depth : int
        Results.
    """

    def __init__(self, clock: Clock, depth: int) -> None:
        self._clock = clock
        self.room = depth
        self.freed = Signal(clock)
        self.arrived = Signal(clock)
        self._times: deque[int] = deque()

    def begin(self, times: range) -> None:
        """Say when results will arrive whose words have begun; they have room."""
        self.room -= len(times)
        self._times.extend(times)
        self.arrived.wake()

    def wait(self, count: int) -> Process:
        """Wait for results, and remove them; their room is not yet free."""
        while len(self._times) < count:
            yield self.arrived
        for _ in range(count):
            last = self._times.popleft()
        yield last

    def free(self, count: int) -> None:
        """Give room back."""
        self.room += count
        self.freed.wake()


class Turns:
    """The datapath that VECTOR and ROW share, a beat in each cycle.

    Attributes
    ----------
    free : int
        When the next block may enter.
    far : int
        When a beat last went the long way.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.free = 0
        self.far = -(10**9)

    def enter(self, beats: int) -> Process:
        """Wait for a turn, and for the last beat of it."""
        while self.free > self._clock.now:
            yield self.free
        self.free = self._clock.now + beats
        yield self.free
