"""The words on their way from DRAIN to STORE."""

from collections import deque

from .clock import Clock, Process, Signal

__all__ = ["Words"]


class Words:
    """When each word of the stream is there."""

    def __init__(self, clock: Clock) -> None:
        self._times: deque[int] = deque()
        self._given = Signal(clock)

    def put(self, count: int, time: int) -> None:
        """Say when words come."""
        self._times.extend([time] * count)
        self._given.wake()

    def take(self, count: int) -> Process:
        """Wait for words, and remove them."""
        while len(self._times) < count:
            yield self._given
        last = 0
        for _ in range(count):
            last = self._times.popleft()
        yield last
