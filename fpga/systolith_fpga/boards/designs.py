"""Which system and which top a board has: by its memory, and by its chip."""

from typing import Any

from systolith_hw.budget import device

from ..memory.block_memory import BlockRam
from .block_system import BlockSystem
from .board import Board
from .ice40_top import Ice40Top
from .system import BoardSystem
from .top import BoardTop

__all__ = ["board_system", "board_top"]


def board_system(board: Board, preset: str, *, standalone: bool = False) -> Any:
    """Return what is inside of a board's pins.

    Raises
    ------
    ConfigError
        It is to stand alone, and cannot.
    """
    if isinstance(board.memory, BlockRam):
        if standalone:
            board.standing_alone()
        return BlockSystem(board, preset)
    return BoardSystem(board, preset, standalone=standalone)


def board_top(board: Board, preset: str, *, standalone: bool = False) -> Any:
    """Return a board's design for Amaranth's platform; errors as of :func:`board_system`."""
    if device(board.device).family == "ice40":
        if standalone:
            board.standing_alone()
        return Ice40Top(board, preset)
    return BoardTop(board, preset, standalone=standalone)
