"""A board in a simulator, behind a pseudo-terminal: the host's driver sees a serial port."""

import dataclasses
import json
from collections.abc import Callable
from fractions import Fraction

from systolith_hw.verilog import component_verilog
from systolith_sim.board.pseudo_terminal import PseudoTerminal
from systolith_sim.board.sdram_chip import chip_settings
from systolith_sim.board.serial_line import SerialSettings
from systolith_sim.board.verilated_board import VerilatedBoard
from systolith_sim.verilator import cache_directory, digest, staged

from ..memory.sdram_chips import ROUND_TRIP_NS
from ..synthesis import CORE
from .board import Board
from .core import BUS
from .system import BoardSystem

__all__ = ["simulated_board"]

LINE_CYCLES = 8
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
    simulated = VerilatedBoard(
        _verilog(board, name, report), chip=chip, line=SerialSettings(bit_cycles=cycles),
        core_hz=core_hz, memory_hz=memory_hz, report=report,
    )  # fmt: skip
    return simulated, PseudoTerminal(simulated)


def _verilog(board: Board, preset: str, report: Callable[[str], None]) -> str:
    """Return the board's system with its core; kept by a hash of all sources."""
    from systolith_hw.top import Systolith

    config = board.config(preset)
    system = BoardSystem(board, preset)
    text = component_verilog(system, name="board")
    name = digest(text, json.dumps(config.to_dict(), sort_keys=True), _generator())
    folder = cache_directory() / "verilog" / name
    file = folder / "core.v"
    if not file.exists():
        report("generating the Verilog of the board's core")
        with staged(folder) as stage:
            core = component_verilog(Systolith(config, "generic", BUS), name=CORE)
            (stage / file.name).write_text(core)
    return text + file.read_text()


def _generator() -> bytes:
    """Return a digest of the sources of the generator."""
    from systolith_sim.device.source import generator_sources

    return b"".join(generator_sources())
