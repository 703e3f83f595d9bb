"""A board's memory and registers over a line that damages bytes, both ways."""

import numpy as np

from systolith.link.serial_device import SerialDevice
from systolith_hw.config import Config
from systolith_sim.board.link_board import LinkBoard
from systolith_sim.board.pseudo_terminal import PseudoTerminal

__all__ = ["require_no_wrong_byte"]

REGISTERS = 20
"""Each is written and read."""


def require_no_wrong_byte(config: Config, board: LinkBoard, count: int, seed: int) -> None:
    """Write and read ``count`` bytes of memory, and registers, through the driver: all is there,
    nothing beside it, each access once, though bytes were damaged on the way."""
    data = np.random.default_rng(seed).bytes(count)
    # The board is a simulator, which stands still while others have the machine.
    with (
        PseudoTerminal(board) as terminal,
        SerialDevice(config, terminal.name, patience=60) as device,
    ):
        device.write_memory(3, data)
        assert board.memory[3 : 3 + count].tobytes() == data
        assert not board.memory[:3].any() and not board.memory[3 + count :].any()
        assert device.read_memory(3, count) == data
        for value in range(REGISTERS):
            device.write_register(4 * value, value)
            assert device.read_register(4 * value) == value
        assert board.accesses == 2 * REGISTERS
        faults, repeated = board.line.faults, device.repeated
    print(f"{count} bytes each way: {faults} faults, {repeated} requests repeated")
    assert faults and repeated and not board.line.broken
