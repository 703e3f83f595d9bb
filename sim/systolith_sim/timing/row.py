"""When the row unit does what NORM and SOFTMAX say."""

from collections import deque

from systolith_hw.isa import Opcode

from .channels import Queue, Semaphores, Turns
from .clock import Clock, Process
from .latencies import Latencies

__all__ = ["Row"]


class Row:
    """NORM and SOFTMAX: sweeps through wide memory, in turn with DRAIN.

    Attributes
    ----------
    busy : int
        Beats.
    """

    def __init__(
        self, clock: Clock, latencies: Latencies, queue: Queue, semaphores: Semaphores,
        turns: Turns,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._latencies = latencies
        self._queue = queue
        self._semaphores = semaphores
        self._turns = turns
        self._factor = 0  # when the serial unit is free
        self.busy = 0

    def run(self) -> Process:
        """Execute instructions for ever."""
        while True:
            yield from self._queue.get()
            job, latencies = self._queue.job, self._latencies
            yield self._clock.now + latencies.row
            fields = job.fields
            yield from self._semaphores.take(fields["wait_outer"])
            if job.opcode == Opcode.SOFTMAX or fields["defer"]:
                yield from self._once(fields, job.opcode == Opcode.SOFTMAX)
            else:
                yield from self._twice(fields)
            done = max(self._written(), self._factor)
            self._semaphores.post(fields["post_outer"], done)
            self._queue.done(done)

    def _once(self, fields: dict[str, int], softmax: bool) -> Process:
        """Read each row once, and make its factor beside the next ones."""
        latencies = self._latencies
        made = latencies.softmax_factor if softmax else latencies.plain_factor
        for _ in range(fields["tokens"]):
            yield from self._semaphores.take(fields["wait_inner"])
            yield from self._sweep(fields["elements"])
            self._factor = max(self._factor, self._written()) + made
            whole = softmax and not fields["post_outer"]
            told = self._factor if whole else self._written()
            self._semaphores.post(fields["post_inner"], told)

    def _twice(self, fields: dict[str, int]) -> Process:
        """Measure a row, and normalise the one before it, whose factor has been made by then."""
        latencies = self._latencies
        made = latencies.norm_factor if fields["centre"] else latencies.plain_factor
        factors: deque[int] = deque()
        for _ in range(fields["tokens"]):
            yield from self._semaphores.take(fields["wait_inner"])
            yield from self._sweep(fields["elements"])
            self._factor = max(self._factor, self._written()) + made
            factors.append(self._factor)
            if len(factors) > 1:
                yield from self._normalise(fields, factors.popleft())
        for factor in factors:
            yield from self._normalise(fields, factor)

    def _normalise(self, fields: dict[str, int], factor: int) -> Process:
        yield factor + 2
        yield from self._sweep(fields["elements"])
        self._semaphores.post(fields["post_inner"], self._written())

    def _sweep(self, elements: int) -> Process:
        """Go through a row, word by word."""
        latencies = self._latencies
        yield self._clock.now + latencies.sweep
        beats = -(-elements // latencies.config.vector.lanes)
        self.busy += beats
        while beats:
            count = min(beats, latencies.word_beats)
            yield from self._turns.enter(count)
            self._turns.far = self._clock.now
            beats -= count

    def _written(self) -> int:
        """Return when what has entered is written."""
        latencies = self._latencies
        flight = latencies.long + latencies.normalise + latencies.word_beats
        return self._clock.now + flight + latencies.written
