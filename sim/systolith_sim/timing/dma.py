"""When LOAD and STORE move data between external memory and the chip."""

from collections.abc import Iterator
from functools import partial

from systolith_hw.config import SCALE_ENTRY_BYTES, Config
from systolith_hw.isa import LoadKind, StoreKind

from .channels import Queue, Semaphores
from .clock import Clock, Process, Signal
from .latencies import Latencies
from .memory import Burst, Memory
from .words import Words

__all__ = ["Load", "Store"]

CODES = (LoadKind.OPERAND_AFFINE, LoadKind.OPERAND_EXPONENT)


def bursts(config: Config, address: int, beats: int) -> Iterator[tuple[int, int]]:
    """Yield address and beats of each burst of a run: they end at multiples of the longest."""
    longest, size = config.bus.burst_beats, config.bus.data_bytes
    while beats:
        count = min(beats, longest - address // size % longest)
        yield address, count
        address += count * size
        beats -= count


def runs(fields: dict[str, int]) -> Iterator[int]:
    """Yield the address of each run of a transfer."""
    for number in range(fields["rows"]):
        yield fields["address"] + number * fields["row_stride"]


class Load:
    """LOAD: requests ahead of the data, as many as the bus allows."""

    def __init__(
        self, clock: Clock, latencies: Latencies, queue: Queue, semaphores: Semaphores,
        memory: Memory,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._latencies = latencies
        self._queue = queue
        self._semaphores = semaphores
        self._memory = memory
        self._room = latencies.config.bus.outstanding
        self._freed = Signal(clock)
        self.beats = 0

    def run(self) -> Process:
        """Execute instructions for ever."""
        config, latencies = self._latencies.config, self._latencies
        while True:
            yield from self._queue.get(stands=True)
            fields = self._queue.job.fields
            yield self._clock.now + latencies.transfer
            yield from self._semaphores.take(fields["wait_outer"])
            pace = self._pace(fields["kind"])
            for number, address in enumerate(runs(fields)):
                yield from self._semaphores.take(fields["wait_inner"])
                final = number == fields["rows"] - 1
                left = fields["beats"]
                for place, count in bursts(config, address, fields["beats"]):
                    while not self._room:
                        yield self._freed
                    yield self._clock.now + latencies.burst
                    self._room -= 1
                    left -= count
                    done = partial(self._done, fields, left == 0, final and left == 0)
                    self._memory.read(Burst(place, count, pace, done))
                self.beats += fields["beats"]
            self._queue.leave()

    def _pace(self, kind: int) -> int:
        """Return the cycles for each beat: an element takes one."""
        config = self._latencies.config
        port, array = config.bus.data_bytes, config.array
        size = {
            LoadKind.OPERAND_ROWS: config.row_write_bytes,
            LoadKind.OPERAND_COLUMNS: array.word_bytes,
            LoadKind.ACTIVATION: array.word_bytes,
            LoadKind.WIDE: config.wide_word_bytes,
            LoadKind.SCALE: config.vector.lanes * SCALE_ENTRY_BYTES,
        }.get(LoadKind(kind), config.row_write_bytes // 2)  # fmt: skip
        return max(1, port // max(1, size))

    def _done(self, fields: dict[str, int], ends_run: bool, ends: bool) -> None:
        """Go on behind a burst."""
        self._room += 1
        self._freed.wake()
        written = self._clock.now + self._latencies.landing
        if ends_run:
            self._semaphores.post(fields["post_inner"], written)
        if ends:
            self._semaphores.post(fields["post_outer"], written)
            self._queue.done(written)


class Store:
    """STORE: bursts when their data are there."""

    def __init__(
        self, clock: Clock, latencies: Latencies, queue: Queue, semaphores: Semaphores,
        memory: Memory, words: Words,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._latencies = latencies
        self._queue = queue
        self._semaphores = semaphores
        self._memory = memory
        self._words = words
        self._room = 2  # bursts that the buffer holds
        self._freed = Signal(clock)
        self.beats = 0

    def run(self) -> Process:
        """Execute instructions for ever."""
        while True:
            yield from self._queue.get(stands=True)
            fields = self._queue.job.fields
            yield self._clock.now + self._latencies.transfer
            yield from self._semaphores.take(fields["wait_outer"])
            for number, address in enumerate(runs(fields)):
                yield from self._semaphores.take(fields["wait_inner"])
                yield from self._run(fields, address, number == fields["rows"] - 1)
                self._semaphores.post(fields["post_inner"], self._clock.now)
                self.beats += fields["beats"]
            self._queue.leave()

    def _run(self, fields: dict[str, int], address: int, final: bool) -> Process:
        """Read the words of a run, and ask for its bursts."""
        config, latencies = self._latencies.config, self._latencies
        stream = fields["kind"] == StoreKind.STREAM
        elements, left, taken = fields["elements"], fields["beats"], 0
        apart = max(1, fields["beats"] // elements)
        for place, count in bursts(config, address, fields["beats"]):
            while not self._room:
                yield self._freed
            self._room -= 1
            left -= count
            need = elements - left * elements // fields["beats"]
            if stream:
                yield from self._words.take(need - taken)
            yield self._clock.now + (need - taken) * apart
            taken = need
            burst = Burst(place, count, 1, partial(self._done, fields, final and not left))
            self._clock.at(self._clock.now + latencies.store, self._ask(burst))

    def _ask(self, burst: Burst) -> Process:
        """Ask for a burst."""
        self._memory.write(burst)
        yield from ()

    def _done(self, fields: dict[str, int], ends: bool) -> None:
        """Go on behind a burst."""
        self._room += 1
        self._freed.wake()
        if ends:
            answered = self._clock.now + self._latencies.acknowledge
            self._semaphores.post(fields["post_outer"], answered)
            self._queue.done(answered)
