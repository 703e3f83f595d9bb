"""Groups of commands in which every name that is no command is that of a model.

Names of files of compiled models end with ``.sysl``; all others are of language models.
"""

import typing

import typer.core

__all__ = ["MODEL", "PROGRAM", "ModelCommands", "model_name"]

MODEL = "MODEL"
"""Under this name the command for language models is listed."""

SUFFIX = ".sysl"
PROGRAM = f"MODEL{SUFFIX}"
"""Under this name the command for compiled models is listed, in groups that have one."""


class ModelCommands(typer.core.TyperGroup):
    """``systolith run stories-260k``: the command :data:`MODEL`, invoked by the model's name."""

    def resolve_command(self, ctx: typing.Any, args: list[str]) -> typing.Any:
        """Return name, command and its arguments."""
        name = args[0]
        kind = PROGRAM if name.endswith(SUFFIX) and PROGRAM in self.commands else MODEL
        return name, self.commands.get(name, self.commands[kind]), args[1:]


def model_name(ctx: typer.Context) -> str:
    """Return the name that the running command was invoked by."""
    return ctx.info_name or MODEL
