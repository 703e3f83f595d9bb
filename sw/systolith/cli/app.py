"""The command line's root: which commands there are, and what an error looks like."""

import typing

import typer
import typer.core

from systolith_hw.config import ConfigError
from systolith_sim.verilator import ToolError

from ..driver import DriverError
from ..image import ImageError
from ..models.errors import CheckpointError, FetchError, TextError
from .bench import bench
from .build import build, flash
from .compile import compile_file
from .console import Missing, say
from .devices import devices
from .estimate import estimate_model
from .eval import evaluate
from .generate import generate
from .inspect import inspect_file
from .presets import presets
from .report import report
from .run import run
from .selftest import selftest

__all__ = ["app", "main"]

USAGE = 2
FAILURE = 1


def _exit_code(error: Exception) -> int:
    """Return how the command ends after an error that users may expect, or 0 for a defect."""
    from systolith_sim.device.device import DeviceError
    from systolith_sim.errors import MachineError, ProgramError

    from ..graph import GraphError

    if isinstance(error, ConfigError | TextError | CheckpointError | ImageError | GraphError):
        return USAGE
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return USAGE  # a name that somebody gave
    expected = (ToolError, FetchError, DriverError, DeviceError, MachineError, ProgramError,
                Missing, OSError)  # fmt: skip
    return FAILURE if isinstance(error, expected) else 0


def _sentence(error: Exception) -> str:
    """Return what is said of an error: of files which one, and not the system's number."""
    from systolith_sim.errors import MachineError, ProgramError

    if isinstance(error, MachineError | ProgramError):
        return f"the core's program is wrong ({error}); if it is a file's, compile the model again"
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename or 'the output'}: {error.strerror}"


class _Sentences(typer.core.TyperGroup):
    """Commands whose expected errors end in one sentence on stderr, never in a traceback."""

    def invoke(self, ctx: typing.Any) -> typing.Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            code = _exit_code(error)
            if not code:
                raise
            say(f"error: {_sentence(error)}")
            raise typer.Exit(code) from error


app = typer.Typer(
    cls=_Sentences,
    help="Generate, measure and run Systolith cores: Transformer accelerators that you can read.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(presets)
app.command()(generate)
app.add_typer(bench, name="bench")
app.command()(report)
app.command()(build)
app.command()(flash)
app.command("compile")(compile_file)
app.command("inspect")(inspect_file)
app.command("estimate")(estimate_model)
app.command()(devices)
app.command()(selftest)
app.add_typer(run, name="run")
app.add_typer(evaluate, name="eval")


def main() -> None:
    """Run the command line."""
    app()
