"""Which top a board has: by its chip."""

from typing import Any

from systolith_hw.budget import device

from .board import Board
from .ice40_top import Ice40Top
from .top import BoardTop

__all__ = ["board_top"]


def board_top(board: Board, preset: str, *, standalone: bool = False) -> Any:
    """Return a board's design for Amaranth's platform.

    Raises
    ------
    ConfigError
        It is to stand alone, and cannot.
    """
    if device(board.device).family == "ice40":
        if standalone:
            board.standing_alone()
        return Ice40Top(board, preset)
    return BoardTop(board, preset, standalone=standalone)
