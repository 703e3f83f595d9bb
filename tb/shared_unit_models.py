"""What surrounds SharedUnit, cycle by cycle from cocotb: streams into it, sums, and wide memory.

Every model has ``offer``, which sets inputs at the beginning of a cycle, and ``look``, which is
called when all signals have settled, before the clock edge.
"""

import random
from collections import deque
from typing import Any

from amaranth.lib import data
from numpy.typing import NDArray

from streams import pack, unpack
from systolith_hw.config import FIXED_BITS, Config
from systolith_hw.interfaces import wide_write

__all__ = ["Port", "Results", "Source", "WideModel", "split"]

ARRIVING = 4
"""Cycles from ``arrived`` to a beat of sums in ``results``."""

SETTLING = 3
"""A wide word may be read so many cycles after it was written; earlier anything is read."""


def split(layout: data.StructLayout, payload: int) -> dict[str, int]:
    """Return the members of a payload as unsigned numbers."""
    return {
        name: payload >> member.offset & (1 << member.width) - 1 for name, member in layout
    }  # fmt: skip


class Port:
    """One stream's signals of the unit; what is always ready has no such signal."""

    def __init__(self, dut: Any, name: str) -> None:
        self.valid: Any = getattr(dut, f"{name}__valid")
        self.payload: Any = getattr(dut, f"{name}__payload")
        self.ready: Any = getattr(dut, f"{name}__ready", None)
        self._bits = len(self.payload)

    @property
    def moves(self) -> bool:
        """Whether a payload is handed over."""
        return bool(self.valid.value and (self.ready is None or self.ready.value))

    def put(self, payload: int | None) -> None:
        """Offer a payload, or none: then garbage stands there."""
        self.valid.value = payload is not None
        self.payload.value = random.getrandbits(self._bits) if payload is None else payload


class Source:
    """Sends a queue into a stream; what is offered stays until it is taken."""

    def __init__(self, dut: Any, name: str, queue: deque[int], pause: float) -> None:
        self._port = Port(dut, name)
        self._queue = queue
        self._pause = pause
        self._offers = False

    def offer(self) -> None:
        """Offer the next payload, or pause."""
        if not self._offers:
            self._offers = bool(self._queue) and random.random() >= self._pause
            self._port.put(self._queue[0] if self._offers else None)

    def look(self) -> None:
        """See whether the payload is taken."""
        if self._port.moves:
            self._queue.popleft()
            self._offers = False


class Results:
    """The array's FIFO: beats of sums arrive at random, and are there four cycles later.

    Attributes
    ----------
    beats : deque
        Those that are still to arrive.
    """

    def __init__(self, dut: Any, config: Config, pause: float) -> None:
        self.beats: deque[int] = deque()
        self._arrived = dut.arrived
        self._port = Port(dut, "results")
        self._room = config.array.output_depth * config.beats_per_result
        self._pause = pause
        self._there: deque[tuple[int, int]] = deque()  # since when, or from when on, and what

    @property
    def left(self) -> int:
        """How many beats nobody has taken."""
        return len(self.beats) + len(self._there)

    def offer(self, cycle: int) -> None:
        """Let a beat arrive, and offer the oldest one that is there."""
        arrives = bool(
            self.beats and len(self._there) < self._room and random.random() >= self._pause
        )
        self._arrived.value = arrives
        if arrives:
            self._there.append((cycle + ARRIVING, self.beats.popleft()))
        there = self._there and self._there[0][0] <= cycle
        self._port.put(self._there[0][1] if there else None)

    def look(self, cycle: int) -> None:
        """See whether a beat is taken, which must be there: the unit has counted them."""
        if self._port.ready.value:
            assert self._there and self._there[0][0] <= cycle, "sums are taken that are not there"
            self._there.popleft()


class WideModel:
    """Wide memory, with the times of :class:`systolith_hw.memory.wide.WideMemory`.

    Attributes
    ----------
    words : (wide_words, L) int32
        The contents.
    """

    def __init__(self, dut: Any, config: Config, words: NDArray[Any]) -> None:
        self.words = words
        self._config = config
        self._enable, self._address = dut.wide_read__enable, dut.wide_read__address
        self._data = dut.wide_read__data
        self._port = Port(dut, "wide")
        self._written: dict[int, int] = {}
        self._coming: deque[tuple[int, int]] = deque()  # when, and what
        self._layout = wide_write(config)

    def offer(self, cycle: int) -> None:
        """Show the word that was asked for ``wide_latency`` cycles ago."""
        if self._coming and self._coming[0][0] == cycle:
            self._data.value = self._coming.popleft()[1]

    def look(self, cycle: int) -> int | None:
        """Read and write; return the address that is written, if one is."""
        if self._enable.value:
            address = int(self._address.value)
            word = pack(self.words[address].tolist(), FIXED_BITS)
            if cycle - self._written.get(address, -SETTLING) < SETTLING:
                word = random.getrandbits(len(self._data))
            self._coming.append((cycle + self._config.wide_latency, word))
        if not self._port.valid.value:
            return None
        write = split(self._layout, int(self._port.payload.value))
        address = write["address"]
        self.words[address] = unpack(write["data"], FIXED_BITS, self._config.vector.lanes)
        self._written[address] = cycle
        return address
