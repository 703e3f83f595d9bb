"""Groups of commands in which every name that is no command is that of a language model."""

import typing

import typer.core

__all__ = ["MODEL", "ModelCommands", "model_name"]

MODEL = "MODEL"
"""Under this name the command for language models is listed."""


class ModelCommands(typer.core.TyperGroup):
    """``systolith run stories-260k``: the command :data:`MODEL`, invoked by the model's name."""

    def resolve_command(self, ctx: typing.Any, args: list[str]) -> typing.Any:
        """Return name, command and its arguments."""
        return args[0], self.commands.get(args[0], self.commands[MODEL]), args[1:]


def model_name(ctx: typer.Context) -> str:
    """Return the name that the running command was invoked by."""
    return ctx.info_name or MODEL
