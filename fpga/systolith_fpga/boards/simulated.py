"""A board in a simulator, behind a pseudo-terminal: the host's driver sees a serial port."""

import dataclasses
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from systolith_hw.verilog import component_verilog
from systolith_sim.board.block_board import BlockBoard
from systolith_sim.board.pseudo_terminal import PseudoTerminal
from systolith_sim.board.sdram_chip import chip_settings
from systolith_sim.board.serial_line import SerialSettings
from systolith_sim.board.spi_flash import FlashSettings, flash_settings
from systolith_sim.board.verilated_board import VerilatedBoard
from systolith_sim.device.source import core_verilog

from ..memory.block_memory import BlockRam
from ..memory.sdram_chips import ROUND_TRIP_NS
from ..standalone.spi_flash import ROUND_TRIP_NS as FLASH_ROUND_TRIP_NS
from .block_system import BlockSystem
from .board import Board
from .core import BUS
from .system import BoardSystem

__all__ = ["hear", "simulated_board", "standalone_board", "with_fast_line"]

LINE_CYCLES = 4
"""Cycles of the core for a bit of the fast line."""

STEP = 20_000
"""Cycles between two looks at what a board says."""


def simulated_board(
    board: Board, preset: str | None = None, *, fast_line: bool = False,
    report: Callable[[str], None] = print,
) -> tuple[VerilatedBoard | BlockBoard, PseudoTerminal]:  # fmt: skip
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
    board = with_fast_line(board, preset) if fast_line else board
    simulated: VerilatedBoard | BlockBoard
    if isinstance(board.memory, BlockRam):
        simulated = _verilated_block(board, preset, report)
    else:
        simulated = _verilated(board, preset, None, report)
    return simulated, PseudoTerminal(simulated)


def standalone_board(
    board: Board, preset: str | None, image: bytes, *, fast_line: bool = False,
    report: Callable[[str], None] = print,
) -> VerilatedBoard:  # fmt: skip
    """Return a board that is about to begin by itself, with an image in its flash memory.

    Parameters
    ----------
    board : Board
    preset : str
        One of the board's; the first unless given.
    image : bytes
        Of :func:`~systolith_fpga.standalone.image.flash_image`.
    fast_line, report
        As of :func:`simulated_board`.
    """
    settings = board.standing_alone()
    if fast_line:
        fast = dataclasses.replace(settings, baud=with_fast_line(board, preset).baud)
        board = dataclasses.replace(board, standalone=fast)
    core_hz, _ = board.clocks(board.variant(preset)[0])
    flash = flash_settings(settings.flash, core_hz, round_trip_ns=FLASH_ROUND_TRIP_NS)
    simulated = _verilated(board, preset, flash, report)
    begin = settings.image_offset
    simulated.flash[begin : begin + len(image)] = np.frombuffer(image, np.uint8)
    return simulated


def hear(
    board: VerilatedBoard, cycles: int, end: str, show: Callable[[str], None] | None = None
) -> str:
    """Let a board run until it has said ``end``, and return all that it said.

    Raises
    ------
    TimeoutError
        If that takes more than so many cycles; with what was said.
    """
    said, shown = b"", 0
    for _ in range(-(-cycles // STEP)):
        board.run(STEP)
        said += board.line.read()
        text = said.decode("utf-8", "ignore")
        if show:
            show(text[shown:])
        shown = len(text)
        if end in text:
            return text
    raise TimeoutError(f"the board has not ended after {cycles:,} cycles; it said: {text}")


def with_fast_line(board: Board, preset: str | None) -> Board:
    """Return a board with a line of :data:`LINE_CYCLES` cycles of the core, or hardly more; one
    with a compact link, which takes its time, as it is."""
    if isinstance(board.memory, BlockRam):
        return board
    core_hz, _ = board.clocks(board.variant(preset)[0])
    return dataclasses.replace(board, baud=round(core_hz) // LINE_CYCLES)


def _verilated_block(
    board: Board, preset: str | None, report: Callable[[str], None]
) -> BlockBoard:
    """Return a board without a memory chip in Verilator."""
    name, _ = board.variant(preset)
    cycles = Fraction(round(board.clocks(name)[0]), board.baud)
    system = component_verilog(BlockSystem(board, name), name="board")
    core = core_verilog(board.config(name), bus=BUS, report=report)
    return BlockBoard(system + core, SerialSettings(bit_cycles=cycles), report)


def _verilated(
    board: Board, preset: str | None, flash: FlashSettings | None, report: Callable[[str], None]
) -> VerilatedBoard:
    """Return a board in Verilator; with flash memory it stands alone."""
    name, _ = board.variant(preset)
    core_hz, memory_hz = board.clocks(name)
    standalone = flash is not None
    if standalone:  # its line has a whole number of cycles for a bit
        cycles = Fraction(round(core_hz / board.standing_alone().baud))
    else:
        cycles = Fraction(round(core_hz), board.baud)
    sdram = board.memory_timing(name).chip
    chip = chip_settings(sdram, memory_hz, round_trip_ns=sum(ROUND_TRIP_NS) / 2)
    system = component_verilog(BoardSystem(board, name, standalone=standalone), name="board")
    core = core_verilog(board.config(name), bus=BUS, report=report)
    return VerilatedBoard(
        system + core, chip=chip, line=SerialSettings(bit_cycles=cycles),
        core_hz=core_hz, memory_hz=memory_hz, flash=flash, report=report,
    )  # fmt: skip
