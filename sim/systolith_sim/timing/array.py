"""When the array does what MATMUL says."""

from .channels import Queue, Results, Semaphores
from .clock import Clock, Process
from .latencies import Latencies

__all__ = ["Array"]


class Array:
    """MATMUL: a control word per cycle, results as far apart as their beats, room for each.

    Attributes
    ----------
    busy : int
        Control words.
    """

    def __init__(
        self, clock: Clock, latencies: Latencies, queue: Queue, semaphores: Semaphores,
        results: Results,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._latencies = latencies
        self._queue = queue
        self._semaphores = semaphores
        self._results = results
        self.busy = 0

    def run(self) -> Process:
        """Execute instructions for ever."""
        clock, semaphores = self._clock, self._semaphores
        free = 0  # when the last instruction's last word was accepted
        while True:
            yield from self._queue.get()
            fields = self._queue.job.fields
            yield max(free, clock.now + self._latencies.feeder)
            groups, tokens = fields["groups"], fields["tokens"]
            for group in range(groups):
                tiles = fields["tiles_last" if group == groups - 1 else "tiles"]
                yield from semaphores.take(fields["wait_outer"])
                for _ in range(tokens):
                    yield from semaphores.take(fields["wait_inner"])
                    yield from self._token(tiles, fields["steps"])
                    semaphores.post(fields["post_inner"], clock.now + 1)
                semaphores.post(fields["post_outer"], clock.now + 1)
            free = clock.now
            self._queue.done(clock.now + self._latencies.array)

    def _token(self, tiles: int, steps: int) -> Process:
        """Go through a token's words, as many tiles at once as there is room for."""
        results, now = self._results, self._clock.now
        apart = max(steps, self._latencies.config.beats_per_result)
        self.busy += tiles * steps
        while tiles:
            while not results.room:
                yield results.freed
            now = self._clock.now
            count = min(tiles, results.room)
            first = now + steps + self._latencies.array
            results.begin(range(first, first + count * apart, apart))
            tiles -= count
            yield now + (count * apart if tiles else (count - 1) * apart + steps)
