"""When instructions come that do not fit program memory."""

from functools import partial

from systolith_hw.config import INSTRUCTION_BYTES, Config

from .clock import Clock, Process, Signal
from .memory import Burst, Memory

__all__ = ["Prefetch"]


OUTSTANDING = 2
"""Bursts that are asked for at a time."""


class Prefetch:
    """Fetches a program ahead of its use, into a window that moves with it.

    Parameters
    ----------
    clock : Clock
    config : Config
    memory : Memory
    instructions : int
        Of the program.
    address : int
        Where it is.
    cold : bool
        Nothing is there at the start; otherwise the first window is.
    """

    def __init__(
        self, clock: Clock, config: Config, memory: Memory, instructions: int, address: int,
        *, cold: bool,
    ) -> None:  # fmt: skip
        self._memory = memory
        self._window = config.memory.program_instructions
        self._instructions = instructions
        self._address = address
        port = config.bus.data_bytes
        self._size = max(1, config.bus.burst_beats * port // INSTRUCTION_BYTES)
        self._beats = INSTRUCTION_BYTES / port
        self._wanted = min(self._window, instructions)
        self._asked = self._there = 0 if cold else self._wanted
        self._under_way = 0
        self._come = Signal(clock)
        self.beats = 0

    def need(self, pc: int) -> Process:
        """Wait for an instruction, and ask for those that then have room."""
        self._wanted = max(self._wanted, min(pc + self._window, self._instructions))
        self._ask()
        while self._there <= pc:
            yield self._come

    def _ask(self) -> None:
        """Ask for as many bursts as may be under way."""
        while self._asked < self._wanted and self._under_way < OUTSTANDING:
            count = min(self._size, self._wanted - self._asked)
            place = self._address + self._asked * INSTRUCTION_BYTES
            beats = max(1, round(count * self._beats))
            self._memory.read(Burst(place, beats, 1, partial(self._arrive, count)))
            self._asked += count
            self._under_way += 1
            self.beats += beats

    def _arrive(self, count: int) -> None:
        """Go on behind a burst."""
        self._there += count
        self._under_way -= 1
        self._come.wake()
        self._ask()
