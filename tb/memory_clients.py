"""Clients of a board's memory: they read and write bursts, and pause as they like."""

import random
from collections import deque
from typing import Any

from cocotb.triggers import RisingEdge

__all__ = ["Reader", "Writer", "fields"]


class Field:
    """Some bits of a pin, read and driven like a pin of their own."""

    def __init__(self, shared: dict[str, Any], offset: int, width: int) -> None:
        self.shared, self.offset, self.mask = shared, offset, (1 << width) - 1

    @property
    def value(self) -> int:
        return int(self.shared["pin"].value) >> self.offset & self.mask

    @value.setter
    def value(self, value: int) -> None:
        level = self.shared["level"] & ~(self.mask << self.offset)
        self.shared["level"] = level | (int(value) & self.mask) << self.offset
        self.shared["pin"].value = self.shared["level"]


def fields(dut, stream: str, **widths: int) -> dict[str, Any]:
    """Return valid and ready of a stream, and the parts of its payload from the lowest bit up."""
    pins = {end: getattr(dut, f"{stream}__{end}") for end in ("valid", "ready")
            if hasattr(dut, f"{stream}__{end}")}  # fmt: skip
    shared, offset = {"pin": getattr(dut, f"{stream}__payload"), "level": 0}, 0
    for name, width in widths.items():
        pins[name] = Field(shared, offset, width)
        offset += width
    return pins


class Reader:
    """A reading client: ``read`` asks, and returns beats and errors.

    Parameters
    ----------
    clk : handle
        Its clock.
    request, data : dict
        Pins by what they are: valid, ready, address, last; valid, ready, data, error, perhaps last.
    pause : float
        Probability that it pauses, for each stream and cycle.
    """

    def __init__(self, clk, request: dict[str, Any], data: dict[str, Any], pause: float) -> None:
        self.clk, self.request, self.data, self.pause = clk, request, data, pause
        self.asks: deque[tuple[int, int]] = deque()
        self.beats: deque[tuple[int, int, int]] = deque()
        self.waits: deque[int] = deque()  # cycles in which requests were offered
        self.latencies: list[int] = []
        self.taken = 0
        self.cycle = 0
        self.begun: deque[int] = deque()
        self.stuck = False  # takes no beats
        request["valid"].value = 0
        data["ready"].value = 0

    def _goes(self) -> bool:
        return not self.pause or random.random() >= self.pause

    async def play(self) -> None:
        """Ask for what is in ``asks``, and collect beats, for ever."""
        request, data = self.request, self.data
        offered = ready = False
        while True:
            if not offered and self.asks and self._goes():
                address, beats = self.asks[0]
                request["address"].value, request["last"].value = address, beats - 1
                request["valid"].value = offered = True
                self.waits.append(self.cycle)
            ready = not self.stuck and self._goes()
            data["ready"].value = ready
            await RisingEdge(self.clk)
            self.cycle += 1
            if offered and request["ready"].value:
                self.begun.append(self.asks.popleft()[1])
                request["valid"].value = offered = False
            if ready and data["valid"].value:
                assert self.begun, "a beat that nobody asked for"
                if not self.taken:
                    self.latencies.append(self.cycle - self.waits.popleft())
                self.taken += 1
                last = self.taken == self.begun[0]
                if "last" in data:
                    assert bool(data["last"].value) == last
                if last:
                    self.begun.popleft()
                    self.taken = 0
                self.beats.append((int(data["data"].value), int(data["error"].value), last))

    async def read(self, address: int, beats: int) -> tuple[list[int], list[int]]:
        """Read a burst; return its beats and their errors. One at a time."""
        self.asks.append((address, beats))
        return await self.collect(beats)

    async def collect(self, beats: int) -> tuple[list[int], list[int]]:
        """Return the next ``beats`` beats and their errors."""
        while len(self.beats) < beats:
            await RisingEdge(self.clk)
        got = [self.beats.popleft() for _ in range(beats)]
        return [beat[0] for beat in got], [beat[1] for beat in got]


class Writer:
    """A writing client: ``write`` returns when the response has come, with its error.

    Parameters
    ----------
    clk : handle
        Its clock.
    request, data, response : dict
        Pins by what they are.
    pause : float
        As of :class:`Reader`.
    """

    def __init__(
        self, clk, request: dict[str, Any], data: dict[str, Any], response: dict[str, Any],
        pause: float,
    ) -> None:  # fmt: skip
        self.clk, self.request, self.data, self.response = clk, request, data, response
        self.pause = pause
        self.asks: deque[tuple[int, list[int], list[int]]] = deque()
        self.beats: deque[tuple[int, int, int]] = deque()
        self.responses: deque[int] = deque()
        request["valid"].value = 0
        data["valid"].value = 0

    def _goes(self) -> bool:
        return not self.pause or random.random() >= self.pause

    async def play(self) -> None:
        """Ask for what is in ``asks``, give its beats, and collect responses, for ever."""
        request, data = self.request, self.data
        offered = shown = False
        while True:
            if not offered and self.asks and self._goes():
                address, words, _ = self.asks[0]
                request["address"].value, request["last"].value = address, len(words) - 1
                request["valid"].value = offered = True
            if not shown and self.beats and self._goes():
                data["data"].value, data["strobe"].value, data["last"].value = self.beats[0]
                data["valid"].value = shown = True
            await RisingEdge(self.clk)
            if offered and request["ready"].value:
                _, words, strobes = self.asks.popleft()
                request["valid"].value = offered = False
                self.beats.extend((word, strobe, index == len(words) - 1) for index, (word, strobe)
                                  in enumerate(zip(words, strobes, strict=True)))  # fmt: skip
            if shown and data["ready"].value:
                self.beats.popleft()
                data["valid"].value = shown = False
            if self.response["valid"].value:
                self.responses.append(int(self.response["error"].value))

    async def write(self, address: int, words: list[int], strobes: list[int]) -> int:
        """Write a burst; return the error of its response."""
        self.asks.append((address, words, strobes))
        while not self.responses:
            await RisingEdge(self.clk)
        return self.responses.popleft()
