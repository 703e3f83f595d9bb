"""Queues, and the round robin that plays the token game."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from systolith_hw.config import Config
from systolith_hw.isa import Opcode, Unit, decode

from ..errors import ProgramError
from .listing import describe
from .tokens import Progress

__all__ = ["STANDING", "Deadlock", "Job", "Leftover", "Scheduler", "decode_job"]

STANDING = (Unit.LOAD, Unit.STORE)
"""Units that copy no instruction: it takes a place in their queue for as long as they take
semaphores or words for it."""


class Deadlock(ProgramError):
    """No unit can go on. The message has a line per unit that waits."""


class Leftover(ProgramError):
    """Results or stream words that no instruction took before a BARRIER or END."""


@dataclass(frozen=True)
class Job:
    """An instruction in a queue, its fields decoded.

    ``issued`` is a clock (:mod:`.races`): what the sequencer knows to be past, and its own time.
    """

    pc: int
    raw: bytes
    unit: Unit
    opcode: Opcode
    fields: dict[str, int]
    issued: Sequence[int] = ()

    def __str__(self) -> str:
        """Return the program address and the text of the instruction."""
        return f"instruction {self.pc} ({describe(self.raw, patches=False)})"


class Worker:
    """One unit: its queue, and the instruction under way."""

    def __init__(self, unit: Unit, execute: Callable[[Job], Iterator[str]]) -> None:
        self.unit = unit
        self.execute = execute
        self.queue: deque[Job] = deque()
        self.job: Job | None = None
        self.steps: Iterator[str] = iter(())
        self.reason = ""

    @property
    def idle(self) -> bool:
        return self.job is None and not self.queue

    def work(self, progress: Progress) -> None:
        """Go on until nothing is left to do or something is missing."""
        while True:
            if self.job is None:
                if not self.queue:
                    return
                self.job = self.queue.popleft()
                self.steps = self.execute(self.job)
                progress.moves += 1
            for reason in self.steps:
                self.reason = reason
                return
            self.job = None
            progress.moves += 1


class Scheduler:
    """Issue instructions in order, and let every unit work for as long as it can.

    Parameters
    ----------
    config : Config
        Uses ``sequencer.queue_depth``.
    progress : Progress
        What the units report to.
    execute : dict
        Per unit the function that turns a :class:`Job` into a generator.
    barrier : function
        Called when everything is idle at a BARRIER or END.
    credit : function
        Executes CREDIT.
    follow : function
        Called at a READ of VECTOR's number, with whether that is idle; returns whether there is
        one.
    """

    def __init__(
        self,
        config: Config,
        progress: Progress,
        execute: Mapping[Unit, Callable[[Job], Iterator[str]]],
        barrier: Callable[[Job], None],
        credit: Callable[[Job], None],
        follow: Callable[[Job, bool], bool],
    ) -> None:
        self._depth = config.sequencer.queue_depth
        self._progress = progress
        self._barrier = barrier
        self._credit = credit
        self._follow = follow
        self._workers = {unit: Worker(unit, function) for unit, function in execute.items()}
        self._next: Job | None = None

    def run(self, jobs: Iterable[Job]) -> None:
        """Execute ``jobs``; END is the last."""
        remaining = iter(jobs)
        self._next = next(remaining, None)
        while self._next is not None:
            before = self._progress.moves
            while self._next is not None and self._issue(self._next):
                self._progress.moves += 1
                self._next = next(remaining, None)
            for worker in self._workers.values():
                worker.work(self._progress)
            if self._progress.moves == before:
                raise Deadlock(self._report())

    def _issue(self, job: Job) -> bool:
        """Return whether the sequencer is done with ``job``."""
        if job.unit != Unit.SEQUENCER:
            worker = self._workers[job.unit]
            # With a depth of 1 those of all units stand in the queue.
            copies = self._depth > 1 and job.unit not in STANDING
            stands = worker.job is not None and not copies
            if len(worker.queue) + stands == self._depth:
                return False
            worker.queue.append(job)
            return True
        if job.opcode == Opcode.CREDIT:
            self._credit(job)
            return True
        if job.opcode == Opcode.READ:
            return self._follow(job, self._workers[Unit.VECTOR].idle)
        if not all(worker.idle for worker in self._workers.values()):
            return False
        self._barrier(job)
        return True

    def _report(self) -> str:
        lines = ["no unit can go on:"]
        for worker in self._workers.values():
            if worker.job:
                name = worker.unit.name.lower()
                lines.append(f"  {name}: {worker.job} waits for {worker.reason}")
        if self._next:
            missing = (
                f"room in the queue of {self._next.unit.name.lower()}"
                if self._next.unit != Unit.SEQUENCER
                else "a fresh number" if self._next.fields.get("fresh")
                else "VECTOR to be idle" if self._next.opcode == Opcode.READ
                else "all units to be idle"
            )
            lines.append(f"  sequencer: {self._next} waits for {missing}")
        return "\n".join(lines)


def decode_job(pc: int, raw: bytes, issued: Sequence[int]) -> Job:
    """Decode an issued instruction."""
    instruction, fields = decode(raw)
    return Job(pc, raw, instruction.unit, instruction.opcode, fields, issued)
