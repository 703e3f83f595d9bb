"""A board in a simulator, behind a pseudo-terminal: the host's driver sees a serial port."""

import dataclasses
from collections.abc import Callable
from fractions import Fraction

from systolith_hw.verilog import component_verilog
from systolith_sim.board.pseudo_terminal import PseudoTerminal
from systolith_sim.board.sdram_chip import chip_settings
from systolith_sim.board.serial_line import SerialSettings
from systolith_sim.board.verilated_board import VerilatedBoard
from systolith_sim.device.source import core_verilog

from ..memory.sdram_chips import ROUND_TRIP_NS
from .board import Board
from .core import BUS
from .system import BoardSystem

__all__ = ["simulated_board"]

LINE_CYCLES = 4
"""Cycles of the core for a bit of the fast line."""


def simulated_board(
    board: Board, preset: str | None = None, *, fast_line: bool = False,
    report: Callable[[str], None] = print,
) -> tuple[VerilatedBoard, PseudoTerminal]:  # fmt: skip
    """Return a running board, and the terminal that its serial line is on.

    Parameters
    ----------
    board : Board
    preset : str
        One of the board's; the first unless given.
    fast_line : bool
        A serial line of :data:`LINE_CYCLES` cycles for a bit instead of the board's own, which
        would take long in a simulator.
    report : callable
        Told about what takes long.
    """
    name, _ = board.variant(preset)
    core_hz, memory_hz = board.clocks(name)
    if fast_line:
        board = dataclasses.replace(board, baud=round(core_hz / LINE_CYCLES))
    cycles = Fraction(round(core_hz), board.baud)
    chip = chip_settings(board.memory, memory_hz, round_trip_ns=sum(ROUND_TRIP_NS) / 2)
    system = component_verilog(BoardSystem(board, name), name="board")
    core = core_verilog(board.config(name), bus=BUS, report=report)
    simulated = VerilatedBoard(
        system + core, chip=chip, line=SerialSettings(bit_cycles=cycles),
        core_hz=core_hz, memory_hz=memory_hz, report=report,
    )  # fmt: skip
    return simulated, PseudoTerminal(simulated)
