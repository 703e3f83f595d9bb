"""When the sampler has put values in its heap: of so many by chance, as many as are to be expected.

Of values in random order the n-th is among the largest ``most`` with probability ``most / n``.
"""

from .latencies import Latencies

__all__ = ["Candidates"]


class Candidates:
    """The heap of CANDIDATES.

    Attributes
    ----------
    kept : int
        Most values that it keeps.
    done : float
        When all that came are in their places.
    """

    def __init__(self, latencies: Latencies) -> None:
        self._latencies = latencies
        self._seen = 0
        self.kept = 0
        self.done = 0.0

    def begin(self, most: int, *, more: bool, now: int) -> None:
        """Begin to keep values, or go on."""
        if not more:
            self._seen, self.done = 0, now + most / 2
        self.kept = most

    def take(self, values: int, now: int) -> int:
        """Take values; return when there is room for the next ones."""
        latencies = self._latencies
        for _ in range(values):
            self._seen += 1
            kept = min(1.0, self.kept / self._seen)
            self.done = max(self.done, now) + 1 + kept * latencies.sink
        return int(self.done) - latencies.sampler_queue
