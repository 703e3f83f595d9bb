"""When external memory moves bursts: rows, refresh, and both directions through one port."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from systolith_hw.config import Config

from ..dram_timing import DramTiming
from .clock import Clock, Process, Signal

__all__ = ["Burst", "Memory"]


@dataclass(frozen=True)
class Burst:
    """Some beats, and who is told when the last one has moved.

    Parameters
    ----------
    address : int
        Of the first byte.
    beats : int
    pace : int
        Cycles for each beat, if whoever takes it needs more than one.
    done : function
    """

    address: int
    beats: int
    pace: int
    done: Callable[[], None]


class Memory:
    """A DRAM as that which simulated cores have, but that bursts are moved whole."""

    def __init__(self, clock: Clock, config: Config, timing: DramTiming) -> None:
        self._clock = clock
        self._timing = timing
        port = timing.port_bytes or config.bus.data_bytes
        self._words = config.bus.data_bytes // port  # of a beat
        self._beat_bytes = config.bus.data_bytes
        self._row_bytes = timing.row_beats * port
        self._open = [-1] * timing.banks
        self._reads: deque[tuple[int, Burst]] = deque()
        self._writes: deque[tuple[int, Burst]] = deque()
        self._asked = Signal(clock)
        self._writing = False
        self._since = 0

    def read(self, burst: Burst) -> None:
        """Ask for a burst."""
        self._reads.append((self._clock.now + self._timing.latency, burst))
        self._asked.wake()

    def write(self, burst: Burst) -> None:
        """Ask to write a burst, whose data are there."""
        self._writes.append((self._clock.now, burst))
        self._asked.wake()

    def run(self) -> Process:
        """Move bursts for ever."""
        clock = self._clock
        while True:
            heads = [queue[0][0] for queue in (self._reads, self._writes) if queue]
            if not heads:
                yield self._asked
                continue
            if min(heads) > clock.now:
                yield min(heads)
            queue = self._choose()
            _, burst = queue.popleft()
            yield self._end(burst)
            burst.done()

    def _choose(self) -> deque[tuple[int, Burst]]:
        """Stay with a direction while it has bursts, and the other one is patient."""
        now = self._clock.now
        ready = [bool(queue) and queue[0][0] <= now for queue in (self._reads, self._writes)]
        writing = ready[1]
        if all(ready):
            other = (self._reads if self._writing else self._writes)[0][0]
            patient = now - max(other, self._since) < self._timing.patience
            writing = self._writing == patient
        if writing != self._writing:
            self._writing, self._since = writing, now
        return self._writes if writing else self._reads

    def _end(self, burst: Burst) -> int:
        """Return when the last beat has moved."""
        timing = self._timing
        first = burst.address // self._row_bytes
        last = (burst.address + burst.beats * self._beat_bytes - 1) // self._row_bytes
        cycles = burst.beats * max(self._words, burst.pace)
        for row in range(first, last + 1):
            bank = row % timing.banks
            if self._open[bank] != row:
                self._open[bank] = row
                cycles += timing.row_cycles
        return self._without_refresh(self._clock.now, cycles)

    def _without_refresh(self, now: int, cycles: int) -> int:
        """Return when some cycles have passed in which memory works."""
        period, pause = self._timing.refresh_period, self._timing.refresh_cycles
        if not period:
            return now + cycles
        useful = period - pause
        place = min(now % period, useful)
        whole, rest = divmod(place + cycles, useful)
        if rest == 0:
            whole, rest = whole - 1, useful
        return now - now % period + whole * period + rest
