"""When instructions come that do not fit program memory."""

from systolith_hw.config import INSTRUCTION_BYTES, Config

from .clock import Clock, Process, Signal
from .memory import Burst, Memory

__all__ = ["Prefetch"]


class Prefetch:
    """Fetches a program ahead of its use; a window of it is there at the start.

    Parameters
    ----------
    clock : Clock
    config : Config
    memory : Memory
    instructions : int
        Of the program.
    address : int
        Where it is.
    """

    def __init__(
        self, clock: Clock, config: Config, memory: Memory, instructions: int, address: int
    ) -> None:
        self._memory = memory
        self._window = config.memory.program_instructions
        self._instructions = instructions
        self._address = address
        self._size = max(1, config.bus.burst_beats * config.bus.data_bytes // INSTRUCTION_BYTES)
        self._beats = INSTRUCTION_BYTES / config.bus.data_bytes
        self._asked = self._there = min(self._window, instructions)
        self._come = Signal(clock)
        self.beats = 0

    def need(self, pc: int) -> Process:
        """Wait for an instruction, and ask for those that then have room."""
        while self._asked < min(pc + self._window, self._instructions):
            count = min(self._size, self._instructions - self._asked)
            place = self._address + self._asked * INSTRUCTION_BYTES
            beats = max(1, round(count * self._beats))
            self._memory.read(Burst(place, beats, 1, self._arrive(count)))
            self._asked += count
            self.beats += beats
        while self._there <= pc:
            yield self._come

    def _arrive(self, count: int):
        def arrive() -> None:
            self._there += count
            self._come.wake()

        return arrive
