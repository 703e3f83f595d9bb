"""A simulated board behind a pseudo-terminal, which programs open like a serial port."""

import contextlib
import os
import select
import threading
import tty
import typing

__all__ = ["Board", "Line", "PseudoTerminal"]

QUIET_SECONDS = 0.0005
"""How long to wait for the host before cycles pass in which nothing goes over the line."""

READ_BYTES = 4096
AHEAD_BYTES = 1 << 14
"""Bytes that wait for the line, above which the host has to wait."""


class Line(typing.Protocol):
    """The host's end of a serial line, such as :class:`~.serial_line.SerialLine`."""

    @property
    def waiting(self) -> int:
        """Bytes that the board has not got yet."""

    def write(self, data: bytes) -> None:
        """Send bytes to the board."""

    def read(self) -> bytes:
        """Return what has come from the board."""


class Board(typing.Protocol):
    """A simulated board with a serial line."""

    @property
    def line(self) -> Line:
        """Its line."""

    @property
    def quiet(self) -> bool:
        """Nobody waits for time to pass."""

    def run(self, cycles: int) -> None:
        """Let cycles pass."""


class PseudoTerminal:
    """Simulate a board in a thread, with its line on a pseudo-terminal.

    Parameters
    ----------
    board : Board
        Only this object's thread uses it, until :meth:`close`.
    cycles : int
        Of the board, between two looks at the terminal.

    Attributes
    ----------
    name : str
        The port, such as ``/dev/pts/3``.
    """

    def __init__(self, board: Board, cycles: int = 2000) -> None:
        self._board, self._cycles = board, cycles
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)  # else what comes before the first program opens it is echoed
        os.set_blocking(self._ours, False)
        self.name = os.ttyname(self._theirs)
        self._plugged = True
        self._end, self._unplug = threading.Event(), threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Take the board away from the port; its clock goes on."""
        self._unplug.set()
        while self._plugged and self._thread.is_alive():
            self._thread.join(0.001)

    def close(self) -> None:
        """End the simulation.

        Raises
        ------
        BaseException
            What ended it before.
        """
        self._end.set()
        self._thread.join()
        if self.error:
            raise self.error

    def __enter__(self) -> typing.Self:
        """Return the object itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the simulation."""
        self.close()

    def _run(self) -> None:
        try:
            self._simulate()
        except BaseException as error:  # shown by close, in the thread of whoever began
            self.error = error
        finally:
            self._close_terminal()

    def _simulate(self) -> None:
        board, line, pending = self._board, self._board.line, b""
        while not self._end.is_set():
            if self._unplug.is_set():
                self._close_terminal()
            if self._plugged:
                if board.quiet and not pending:
                    select.select([self._ours], [], [], QUIET_SECONDS)
                if line.waiting < AHEAD_BYTES:
                    line.write(self._take())
            board.run(self._cycles)
            pending += line.read()
            if self._plugged and pending:
                with contextlib.suppress(BlockingIOError):
                    pending = pending[os.write(self._ours, pending) :]

    def _take(self) -> bytes:
        """Return what the host has written."""
        try:
            return os.read(self._ours, READ_BYTES)
        except BlockingIOError:
            return b""

    def _close_terminal(self) -> None:
        if self._plugged:
            self._plugged = False
            os.close(self._theirs)
            os.close(self._ours)
