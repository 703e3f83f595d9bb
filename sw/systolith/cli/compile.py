"""``systolith compile``: a person's model into a file for one core."""

import os
import time
import typing
from pathlib import Path

import typer

from systolith_hw.config import ConfigError

from .arrays import read_inputs
from .console import print_json, print_table, stages
from .options import Json, PortBytes, PresetName, Settings, choose_config

__all__ = ["compile_file"]


def compile_file(
    model: typing.Annotated[Path, typer.Argument(help="An ONNX file.", metavar="MODEL")],
    output: typing.Annotated[
        Path, typer.Option("--output", "-o", help="File to write, usually *.sysl.", dir_okay=False)
    ],
    preset: PresetName = "ulx3s",
    settings: Settings = None,
    port_bytes: PortBytes = None,
    inputs: typing.Annotated[
        Path | None,
        typer.Option(help="An .npz file with a typical batch, an array for each input by name; "
                     "weights are rounded with inputs like these. By default a random one.",
                     dir_okay=False),
    ] = None,
    tokens: typing.Annotated[
        int | None,
        typer.Option(help="Most tokens of a run of the core; by default enough for the batch.",
                     min=1),
    ] = None,
    strict: typing.Annotated[
        bool, typer.Option("--strict", help="Refuse a model of which the host does anything.")
    ] = False,
    strict_matrices: typing.Annotated[
        bool, typer.Option("--strict-matrices", help="Refuse one of which the host does a matrix.")
    ] = False,
    verify: typing.Annotated[
        bool, typer.Option("--verify", help="Compare the graph before and after each rewrite.")
    ] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Compile a model: encoder layers or a language model for the core, the rest for the host.

    What the host does, and why, is told; systolith inspect shows the file, systolith run runs it.
    """
    config = choose_config(preset, settings, port_bytes=port_bytes)
    folder = next(place for place in output.absolute().parents if place.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"--output {output}: nothing can be written to {folder}")
    from ..model_compiler import compile_model
    from ..report.program import describe_program

    example = None if inputs is None else read_inputs(inputs)
    begin = time.perf_counter()
    with stages(f"compiling {model}", plain=json) as progress:
        program = compile_model(
            model, example, config=config, tokens=tokens, verify=verify, progress=progress,
            strict=strict or ("matrices" if strict_matrices else False),
        )  # fmt: skip
        progress(f"writing {output}")
        program.save(output)
    values = {"model": str(model), "file": str(output), "preset": preset,
              "seconds": round(time.perf_counter() - begin, 2)}  # fmt: skip
    if json:
        print_json({**values, **describe_program(program)})
    else:
        print_table({**values, "bytes": output.stat().st_size})
        print(f"{program.parts}\n{program.accuracy}")
