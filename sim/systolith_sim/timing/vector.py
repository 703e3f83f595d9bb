"""When the vector unit does what DRAIN and SAMPLE say."""

from systolith_hw.isa import DrainFunction, DrainKind, Opcode

from .candidates import Candidates
from .channels import Numbers, Queue, Results, Semaphores, Turns
from .clock import Clock, Process
from .latencies import Latencies
from .words import Words

__all__ = ["Vector"]

CHUNK = 4
"""Beats that enter at once where each is a block of its own."""

WORDS = (DrainKind.ACTIVATION, DrainKind.STREAM)
"""Kinds of which each word is a block."""

WHOLE = (DrainKind.KEYS, DrainKind.VALUES, DrainKind.HEADS)
"""Kinds of which all channels of a token are one."""

NEVER = -(10**9)


class Vector:
    """DRAIN: blocks of beats, each when its sums are there and it is its turn.

    Attributes
    ----------
    busy : int
        Beats.
    """

    def __init__(
        self, clock: Clock, latencies: Latencies, queue: Queue, semaphores: Semaphores,
        results: Results, turns: Turns, words: Words, numbers: Numbers,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._latencies = latencies
        self._queue = queue
        self._semaphores = semaphores
        self._results = results
        self._turns = turns
        self._words = words
        self._numbers = numbers
        self._wide_written = self._entries_written = self._number_written = NEVER
        self._candidates = Candidates(latencies)
        self.busy = 0

    def run(self) -> Process:
        """Execute instructions for ever."""
        free = 0
        while True:
            yield from self._queue.get()
            job, latencies = self._queue.job, self._latencies
            yield max(free + latencies.between, self._clock.now + latencies.drain)
            if job.opcode == Opcode.SAMPLE:
                written = yield from self._sample(job.fields)
            else:
                yield self._begins(job.fields)
                written = yield from self._drain(job.fields)
            free = self._clock.now
            self._queue.done(written)

    def _sample(self, fields: dict[str, int]):
        """Choose a number; return when it is written."""
        yield from self._semaphores.take(fields["wait_outer"])
        yield from self._turns.enter(1)
        begin = max(self._clock.now, int(self._candidates.done))
        self._number_written = begin + self._latencies.sample * (1 + self._candidates.kept)
        self._semaphores.post(fields["post_outer"], self._number_written)
        self._numbers.put(self._number_written)
        return self._number_written

    def _begins(self, fields: dict[str, int]) -> int:
        """Return when an instruction finds what those before it have written."""
        begin = self._number_written
        if fields["accumulate"] or fields["rotate"] or fields["function"] == DrainFunction.PRODUCT:
            begin = max(begin, self._wide_written)
        if fields["maximum"]:
            begin = max(begin, self._entries_written)
        return begin

    def _drain(self, fields: dict[str, int]):
        """Go through groups and tokens; return when the last value is written."""
        kind, groups = fields["kind"], fields["groups"]
        written = 0
        if kind == DrainKind.CANDIDATES:
            self._candidates.begin(
                fields["token_stride"], more=bool(fields["accumulate"]), now=self._clock.now
            )
        for group in range(groups):
            last = group == groups - 1 and kind not in (DrainKind.KEYS, DrainKind.VALUES)
            tiles = fields["tiles_last" if last else "tiles"]
            yield from self._semaphores.take(fields["wait_outer"])
            for _ in range(fields["tokens"]):
                yield from self._semaphores.take(fields["wait_inner"])
                written = yield from self._token(fields, tiles)
                self._semaphores.post(fields["post_inner"], written)
            after = written
            if kind == DrainKind.MEASURED:
                after += self._latencies.plain_factor + self._latencies.normalise
            self._semaphores.post(fields["post_outer"], after)
        if kind == DrainKind.BEST:
            self._numbers.put(self._number_written)
        return written

    def _token(self, fields: dict[str, int], tiles: int):
        """Take a token's results; return when its last value is written."""
        config, results, kind = self._latencies.config, self._results, fields["kind"]
        beats = config.beats_per_result
        passes = 1 + fields["rotate"]
        chunk = max(1, CHUNK // beats)
        if kind in WHOLE:
            chunk = tiles
        elif kind in WORDS:
            chunk = config.tiles_per_group
        while tiles:
            count = min(tiles, chunk)
            yield from results.wait(count)
            yield from self._turns.enter(count * beats * passes)
            results.free(count)
            self.busy += count * beats * passes
            tiles -= count
            if kind == DrainKind.CANDIDATES:
                values = count * config.array.columns
                yield self._candidates.take(values, self._clock.now)
            written = self._written(fields, count * beats)
        return written

    def _written(self, fields: dict[str, int], beats: int) -> int:
        """Return when the values of the block that has entered are written."""
        latencies, now, kind = self._latencies, self._clock.now, fields["kind"]
        function = fields["function"]
        plain = function in (DrainFunction.NONE, DrainFunction.RELU) and not fields["rotate"]
        direct = plain and now - self._turns.far > latencies.clear
        if not direct:
            self._turns.far = now + beats * (kind in WHOLE or kind in WORDS)
        time = now + (latencies.direct if direct else latencies.long)
        if kind in WHOLE or kind in WORDS:
            time += latencies.normalise + beats
        time += latencies.written
        if kind == DrainKind.STREAM or kind == DrainKind.HEADS:
            self._words.put(max(1, beats // latencies.word_beats), time)
        if kind in (DrainKind.WIDE, DrainKind.MEASURED):
            self._wide_written = now + latencies.wide_again
        if kind == DrainKind.KEYS:
            self._entries_written = time
        if kind in (DrainKind.BEST, DrainKind.CANDIDATES):
            self._number_written = time
        return time
