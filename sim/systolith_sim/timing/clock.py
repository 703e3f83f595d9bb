"""Time, in cycles: processes that wait for a moment or for one another."""

import heapq
from collections.abc import Iterator

__all__ = ["Clock", "Process", "Signal"]


class Signal:
    """What processes wait for, until somebody wakes them; they then look again.

    Parameters
    ----------
    clock : Clock
    """

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self.waiting: list[Process] = []

    def wake(self) -> None:
        """Let all who wait go on now."""
        if self.waiting:
            for process in self.waiting:
                self._clock.at(self._clock.now, process)
            self.waiting = []


Process = Iterator[int | Signal]
"""Yields the cycle at which it goes on, or the signal that it waits for."""


class Clock:
    """Runs processes in the order of time.

    Attributes
    ----------
    now : int
    """

    def __init__(self) -> None:
        self.now = 0
        self._order = 0
        self._heap: list[tuple[int, int, Process]] = []

    def at(self, time: int, process: Process) -> None:
        """Let a process go on at some cycle, or now if that is past."""
        self._order += 1
        heapq.heappush(self._heap, (max(time, self.now), self._order, process))

    def run(self) -> None:
        """Go on until no process can."""
        while self._heap:
            self.now, _, process = heapq.heappop(self._heap)
            for item in process:
                if isinstance(item, Signal):
                    item.waiting.append(process)
                    break
                if item > self.now:
                    self.at(item, process)
                    break
