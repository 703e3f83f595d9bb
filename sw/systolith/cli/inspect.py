"""``systolith inspect``: what is in a compiled model."""

import typing
from pathlib import Path

import typer

from .arrays import require_folder
from .console import print_json, say
from .options import Json

__all__ = ["inspect_file"]


def inspect_file(
    program: typing.Annotated[Path, typer.Argument(help="A .sysl file.", metavar="MODEL.sysl")],
    svg: typing.Annotated[
        Path | None, typer.Option(help="Write the graph as a picture.", dir_okay=False)
    ] = None,
    listing: typing.Annotated[
        bool, typer.Option("--listing", help="Show the core's instructions, too.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the graph, what the core and the host do, and where everything is in memory."""
    require_folder("--svg", svg)
    from ..model_program import load_program
    from ..report.graph_svg import graph_svg
    from ..report.program import describe_program, listing_of, program_text

    loaded = load_program(program)
    if svg is not None:
        svg.write_text(graph_svg(loaded.parts), encoding="utf-8")
        say(f"wrote {svg}")
    instructions = listing_of(loaded) if listing else {}
    if json:
        values = {"file": str(program), **describe_program(loaded)}
        print_json({**values, "listing": instructions} if listing else values)
        return
    print(program_text(loaded))
    for name, text in instructions.items():
        print(f"\ninstructions of {name}\n{text}")
