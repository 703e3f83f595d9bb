"""What is told of a board's time: from its identity, and from what the core has counted."""

import pytest

pytest.importorskip("serial")

from systolith.board_time import BoardTime
from systolith.link.serial_device import SerialDevice
from systolith_fpga.boards import board_named
from systolith_hw.presets import preset
from systolith_sim.board.pseudo_terminal import PseudoTerminal

from .link_lines import GoldenBoard
from .machine_device import MachineDevice
from .test_exchange import who

CONFIG = board_named("ulx3s-85f").config()
COUNTERS = {"CYCLES": 80_000, "LOAD_BEATS": 50_000, "STORE_BEATS": 9_000, "FETCH_BEATS": 1_000}
"""A millisecond, in which memory moves 266,667 bytes at most, and the core took 240,000."""


def time_of(config, **identity):
    board = GoldenBoard(config, who(config_hash=config.hash, **identity))
    with PseudoTerminal(board) as terminal, SerialDevice(config, terminal.name) as device:
        return BoardTime.of(device, COUNTERS)


def test_a_known_board():
    time = time_of(CONFIG, board="ulx3s-85f", clock_hz=80_000_000)
    assert time is not None
    assert (time.core_mhz, time.memory_mhz) == (80, pytest.approx(400 / 3))
    assert time.memory_share == pytest.approx(0.9)
    assert str(time) == "80 MHz core, 133 MHz memory, of whose peak 90.0%"


def test_devices_without_a_known_memory():
    assert time_of(CONFIG, board="golden") is None, "a board of others"
    assert time_of(preset("small"), board="ulx3s-85f") is None, "a core that the board has not"
    assert BoardTime.of(MachineDevice(preset("small"), 1 << 12), COUNTERS) is None
