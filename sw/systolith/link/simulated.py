"""A simulated board as a device: the driver of real ones, on a pseudo-terminal."""

import numpy as np

from systolith_hw.config import Config, ConfigError
from systolith_sim.device.device import DeviceError

from ..progress import Progress
from .known_cores import known_cores
from .ports import SIMULATED
from .serial_device import SerialDevice

__all__ = ["SimulatedBoard"]

LINK = "link"
"""Behind the board's name: nothing goes into memory by the back door."""

BACK_DOOR_BYTES = 1 << 12
"""Writes and reads of more than so much go by the back door, but for their end."""

END_BYTES = 64

PATIENCE = 600.0
BAUD = 3_000_000
"""Any: a pseudo-terminal has no rate."""


class SimulatedBoard(SerialDevice):
    """A board in Verilator with its memory chip and its serial line.

    Everything goes over the line as with a real board, except that large pieces of memory, which
    would take the simulator hours, go into the chip and out of it by a back door; how much is told.

    Parameters
    ----------
    config : Config
        Of the core; it must be that of one of the board's presets.
    name : str
        ``sim:BOARD``, or ``sim:BOARD:link`` for a board without the back door and with a fast line.
    progress : Progress
        Told about what takes long.
    """

    def __init__(self, config: Config, name: str, progress: Progress) -> None:
        from systolith_fpga.boards import board_named
        from systolith_fpga.boards.simulated import simulated_board, with_fast_line

        chosen, _, how = name.removeprefix(SIMULATED).partition(":")
        if how not in ("", LINK):
            raise ConfigError(f"a simulated board is sim:BOARD or sim:BOARD:{LINK}, not {name}")
        board = board_named(chosen)
        hashes = {board.config(preset).hash: preset for preset in board.variants}
        if config.hash not in hashes:
            known = " or ".join(known_cores()[one].options for one in hashes)
            raise ConfigError(
                f"configuration {config.hash:08x} is none of board {chosen}'s: take {known}"
            )
        self._progress = progress
        preset = hashes[config.hash]
        self._baud = (with_fast_line(board, preset) if how else board).baud
        self._simulated, self._terminal = simulated_board(
            board, preset, fast_line=bool(how), report=progress
        )
        # Where external memory is no chip, all of it goes over the line.
        self._memory = getattr(self._simulated, "memory", np.empty(0, np.uint8))
        self._back_door = not how and bool(self._memory.size)
        progress(f"{name} is at {self._terminal.name}")
        self.back_door_bytes = 0
        try:
            super().__init__(
                config, self._terminal.name, baud=BAUD, patience=PATIENCE, progress=progress
            )
        except BaseException:
            self._terminal.close()
            raise

    @property
    def cycle(self) -> int:
        """Cycles of the core's clock since power-up."""
        return self._simulated.cycle

    @property
    def baud(self) -> int:
        """Of the board's line; the terminal in front of it has no rate."""
        return self._baud

    def close(self) -> None:
        """End the simulation."""
        if not self.closed:
            super().close()
            self._terminal.close()

    def _write(self, address: int, data: bytes) -> None:
        by_door = self._by_door(address, len(data), "into")
        if by_door:
            self._memory[address : address + by_door] = np.frombuffer(
                data[:by_door], np.uint8
            )
        super()._write(address + by_door, data[by_door:])

    def _read(self, address: int, count: int) -> bytes:
        by_door = self._by_door(address, count, "out of")
        # The end comes over the line, behind all that the core has written: that is in the chip.
        rest = super()._read(address + by_door, count - by_door)
        return self._memory[address : address + by_door].tobytes() + rest

    def _by_door(self, address: int, count: int, where: str) -> int:
        """Return how many of some bytes go by the back door, and tell it."""
        if not self._back_door or count <= BACK_DOOR_BYTES:
            return 0
        self._check_open()
        if self._terminal.error:
            raise DeviceError(str(self._terminal.error))
        by_door = count - END_BYTES
        self._progress(f"{by_door:,} bytes go {where} the memory chip by the back door")
        self.back_door_bytes += by_door
        return by_door
