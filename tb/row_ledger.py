"""Which writes and counts are still to come, and whether one may come now."""

from collections import deque

from row_machine import Cell, Part, Token
from systolith_hw.isa import Unit

__all__ = ["Ledger"]


class Ledger:
    """Every write must be one that a token makes, and no count comes before all writes of its
    token and of those in front of it, in the same unit.
    """

    def __init__(self) -> None:
        self._tokens: dict[Unit, list[Token]] = {}
        self._writers: dict[Cell, deque[Token]] = {}

    def begin(self, part: Part) -> None:
        """Expect what the tokens of a part do."""
        self._tokens, self._writers = part.tokens, part.writers

    def write(self, memory: str, address: int) -> None:
        """Note a write."""
        writers = self._writers.get((memory, address))
        assert writers, f"nobody writes {memory} {address} now"
        writers.popleft().left -= 1

    def post(self, unit: Unit, name: str, semaphore: int) -> None:
        """Note a count, inner or outer by ``name``."""
        for number, token in enumerate(self._tokens[unit]):
            about = f"{unit.name} gives {semaphore}, and its token {number}"
            assert not token.left, f"{about} has {token.left} writes to do"
            if name in token.posts:
                assert token.posts.pop(name) == semaphore, f"{about} has another to give"
                return
        raise AssertionError(f"{unit.name} gives {semaphore}, but no token does")

    def end(self) -> None:
        """Nothing may be left."""
        for unit, tokens in self._tokens.items():
            for number, token in enumerate(tokens):
                about = f"token {number} of {unit.name}"
                assert not token.left, f"{about} left out {token.left} writes"
                assert not token.posts, f"{about} did not give {token.posts}"
