"""What the commands print, and where: results on stdout, everything else on stderr."""

import contextlib
import json
import sys
import typing
from collections.abc import Iterator, Mapping

from ..progress import Progress

__all__ = ["Missing", "needs", "print_json", "print_table", "say", "stages"]

OWN_PACKAGES = ("systolith", "systolith_fpga", "systolith_hw", "systolith_sim")


class Missing(Exception):
    """A command needs packages that are not installed; the message says how to install them."""


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Turn a package that the block cannot import into a sentence about the extra it is in."""
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in OWN_PACKAGES:
            raise
        raise Missing(
            f"this command needs the package {name}; install it with: "
            f"pip install 'systolith[{extra}]'"
        ) from error


def say(text: str) -> None:
    """Print a line of text as it is, on stderr."""
    print(text, file=sys.stderr)


def print_json(value: typing.Any) -> None:
    """Print JSON, and nothing else, on stdout."""
    print(json.dumps(value, indent=2))


def print_table(rows: Mapping[str, typing.Any]) -> None:
    """Print names and values below each other."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in rows.items():
        table.add_row(name.replace("_", " "), _readable(value))
    Console().print(table)


def _readable(value: typing.Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.6g}"
        case list():
            return "\n".join(map(str, value))
        case dict():
            return "\n".join(f"{name}: {_readable(item)}" for name, item in value.items() if item)
        case _:
            return str(value)


@contextlib.contextmanager
def stages(first: str, *, plain: bool = False) -> Iterator[Progress]:
    """Show on stderr what long work is at; yields whom to tell.

    On a terminal it also shows the seconds, and a bar where the end is known; elsewhere, and if
    ``plain``, each stage is a line.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if plain or not console.is_terminal:
        say(first)
        yield _Lines()
        return
    from .bars import Bars

    with Bars(console) as bars:
        bars(first)
        yield bars


class _Lines(Progress):
    """Prints the name of each stage."""

    def __call__(self, stage: str) -> None:
        """Begin with the next stage."""
        say(stage)
