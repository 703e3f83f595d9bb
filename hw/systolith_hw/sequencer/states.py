"""A state machine with a flip-flop for each state."""

import contextlib
from collections.abc import Iterator

from amaranth import *

__all__ = ["States"]

MOST = 80


class States:
    """A state machine with a flip-flop for each state.

    With many states, most of which only lead to the next, and few signals that depend on more
    than a handful of them, it is half the logic of one with an encoded state, and faster. Use it
    as ``m.FSM``: ::

        with states.state("FIRST"):
            with m.If(ready):
                states.go("SECOND")
        ...
        states.elaborate()

    Parameters
    ----------
    m : Module
        Where statements go.
    init : str
        The first state.
    """

    def __init__(self, m: Module, init: str) -> None:
        self.m = m
        self._names: list[str] = []
        self._nexts: dict[str, Signal] = {}
        self._current = ""
        self._now = Signal(MOST, init=1)
        assert self._index(init) == 0

    def _index(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)

    @contextlib.contextmanager
    def state(self, name: str) -> Iterator[None]:
        """Describe what happens in a state, which lasts until :meth:`go`."""
        assert name not in self._nexts, f"{name} is there twice"
        self._current = name
        self._nexts[name] = Signal(MOST, name=f"next_of_{name.lower()}")
        with self.m.If(self.now):
            self.go(name)
            yield

    @property
    def now(self) -> Value:
        """Whether it is the state that is being described."""
        return self._now[self._index(self._current)]

    def go(self, name: str) -> None:
        """Make ``name`` the next state, whatever was said before."""
        self.m.d.comb += self._nexts[self._current].eq(1 << self._index(name))

    def elaborate(self) -> None:
        """Make it work."""
        assert set(self._nexts) == set(self._names), set(self._nexts) ^ set(self._names)
        assert len(self._names) <= MOST
        following: Value = Const(0, MOST)
        for leads in self._nexts.values():
            following = following | leads
        self.m.d.sync += self._now.eq(following)
