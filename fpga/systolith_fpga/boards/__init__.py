"""Boards by name."""

from systolith_hw.config import ConfigError

from .board import Board, Variant
from .icebreaker import ICEBREAKER
from .ulx3s import ULX3S_25F, ULX3S_85F

__all__ = ["BOARDS", "Board", "Variant", "board_named"]

BOARDS = {board.name: board for board in (ULX3S_85F, ULX3S_25F, ICEBREAKER)}
"""To add one, write its file, and put it here."""


def board_named(name: str) -> Board:
    """Return a board; raise :class:`ConfigError` with the known names if there is none."""
    if name not in BOARDS:
        raise ConfigError(f"there is no board {name}; known are {', '.join(BOARDS)}")
    return BOARDS[name]
