"""Stages of long work as lines on a terminal: seconds, and a bar where the end is known."""

from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Lines
from rich.text import Text

from ..progress import Progress

__all__ = ["Bars"]


class Bars(Progress):
    """Shows each stage as a line that lives until the next begins.

    Parameters
    ----------
    console : Console
        Where.
    """

    def __init__(self, console: Console) -> None:
        self._lines = Lines(
            SpinnerColumn(), TextColumn("{task.description}"), _KnownBar(bar_width=24),
            TimeElapsedColumn(), console=console,
        )  # fmt: skip
        self._task: TaskID | None = None

    def __call__(self, stage: str) -> None:
        """End this stage, and begin with the next."""
        self._finish()
        self._task = self._lines.add_task(stage, total=None, known=False)

    def reached(self, done: float, total: float) -> None:
        """Show how much of this stage is behind us."""
        if self._task is not None:
            self._lines.update(self._task, completed=done, total=total, known=True)

    def __enter__(self) -> Self:
        """Begin to show."""
        self._lines.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave what is shown; a stage that failed stays unfinished."""
        if error is None:
            self._finish()
        self._lines.stop()

    def _finish(self) -> None:
        if self._task is not None:
            self._lines.update(self._task, total=1, completed=1)


class _KnownBar(BarColumn):
    """A bar for stages whose end is known, and nothing for the others."""

    def render(self, task: Task) -> RenderableType:  # type: ignore[override]
        """Draw one stage."""
        return super().render(task) if task.fields["known"] else Text()
