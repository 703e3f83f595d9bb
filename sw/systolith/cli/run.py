"""``systolith run``: real models on the generated hardware."""

import dataclasses
import typing
from pathlib import Path

import typer

from systolith_hw.config import ConfigError

from .console import needs, print_json, print_table, stages
from .model_command import MODEL, PROGRAM, ModelCommands
from .options import (
    ClockMhz,
    Computer,
    ComputerName,
    Json,
    PortBytes,
    PortName,
    PresetName,
    Settings,
    Simulator,
    SimulatorName,
    bus_of,
    choose_config,
    choose_device,
    require_backend,
)
from .run_language import run_language
from .run_program import run_program

__all__ = ["run"]

HARDWARE = (Computer.RTL, Computer.MACHINE)

ACTS = {
    "sim": (Computer.RTL,), "device": (Computer.RTL,), "clock_mhz": (Computer.RTL,),
    "preset": HARDWARE, "settings": HARDWARE, "port_bytes": HARDWARE, "tokens": HARDWARE,
    "image": HARDWARE,
}  # fmt: skip
"""With whom options of ``minilm`` do something; others act with everybody."""

run = typer.Typer(
    cls=ModelCommands, help="Run real models on the generated Verilog.", no_args_is_help=True
)
run.command(MODEL)(run_language)
run.command(PROGRAM)(run_program)


@run.callback()
def _group() -> None:
    """Run real models on the generated Verilog."""


@run.command()
def ffn(
    text: typing.Annotated[str, typer.Argument(help="A sentence.")],
    preset: PresetName = "small",
    settings: Settings = None,
    port_bytes: PortBytes = None,
    sim: SimulatorName = Simulator.VERILATOR,
    json: Json = False,
) -> None:
    """Take a sentence through MiniLM's first feed-forward matrix, 384 to 1536.

    The embedding and the attention block in front of it are computed in float on the host.
    """
    config = choose_config(preset, settings, port_bytes=port_bytes)
    with needs("models"):
        from ..ffn import run_ffn
        from ..models.minilm import MiniLM, require_text

    require_text(text)  # before anything is downloaded
    with stages("fetching MiniLM", plain=json) as progress:
        model = MiniLM.fetch(progress)
        result = run_ffn(model, text, config, simulator=str(sim), progress=progress)
    first = ("text", "tokens", "bit_exact", "cosine", "cosine_worst")
    values = {
        **{name: getattr(result, name) for name in first},
        "preset": preset, "simulator": str(sim), **dataclasses.asdict(result),
    }  # fmt: skip
    if json:
        print_json(values)
    else:
        print_table(values)
    if not result.bit_exact:
        raise typer.Exit(1)


@run.command()
def minilm(
    ctx: typer.Context,
    texts: typing.Annotated[list[str], typer.Argument(help="Sentences.", metavar="TEXT...")],
    backend: ComputerName = Computer.RTL,
    preset: PresetName = "ulx3s",
    settings: Settings = None,
    port_bytes: PortBytes = None,
    tokens: typing.Annotated[
        int | None,
        typer.Option(help="Most tokens of a run; by default enough for the longest text.", min=3),
    ] = None,
    truncate: typing.Annotated[
        bool, typer.Option("--truncate", help="Use the beginning of texts that are too long.")
    ] = False,
    image: typing.Annotated[
        Path | None,
        typer.Option(help="File of the compiled model, made if there is none; by default in the "
                     "cache.", dir_okay=False),
    ] = None,
    sim: SimulatorName = Simulator.VERILATOR,
    device: PortName = None,
    clock_mhz: ClockMhz = None,
    report: typing.Annotated[
        Path | None,
        typer.Option(help="Write a page about what the hardware did: HTML, and nothing outside of "
                     "it.", dir_okay=False),
    ] = None,
    trace: typing.Annotated[
        Path | None,
        typer.Option(help="Write what units did for ui.perfetto.dev or chrome://tracing.",
                     dir_okay=False),
    ] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Embed sentences with all of MiniLM, and say how alike they are.

    From token numbers to the last layer everything is computed by a program for the core, the same
    for every length; the host makes tokens, and the mean over them.
    """
    require_backend(ctx, backend, ACTS)
    where = choose_device(ctx, device, sim)
    settings, port_bytes = bus_of(where, settings, port_bytes)
    config = choose_config(preset, settings, port_bytes=port_bytes)
    with needs("models"):
        from ..models.minilm import MAX_TOKENS, MiniLM, require_text
        from ..report.encoder import BIN_CYCLES, write_reports
        from ..sentences import compare, compile_minilm

    watched = report is not None or trace is not None
    if watched and backend != Computer.RTL:
        raise ConfigError("--report and --trace tell what the hardware does; give --backend rtl")
    if watched and device is not None:
        raise ConfigError("--report and --trace do nothing beside --device; leave one out")
    for name, path in (("report", report), ("trace", trace)):
        if path is not None and not path.parent.is_dir():
            raise ConfigError(f"--{name} {path}: there is no folder {path.parent}")
    for text in texts:  # before anything is downloaded
        require_text(text)
    with stages("fetching MiniLM", plain=json) as progress:
        model = MiniLM.fetch(progress)
        encoder = None
        if backend != Computer.FLOAT:
            limit = tokens or MAX_TOKENS
            longest = max(
                len(model.tokenize(text, limit=limit, truncate=truncate)) for text in texts
            )
            encoder = compile_minilm(
                model, config, longest=longest, tokens=tokens, path=image, progress=progress
            )  # fmt: skip
        result = compare(
            model, texts, encoder=encoder, truncate=truncate, progress=progress,
            simulator=where if backend == Computer.RTL else None, clock_mhz=clock_mhz,
            bin_cycles=BIN_CYCLES if watched else 0,
        )  # fmt: skip
        if encoder and watched:
            progress("writing what the hardware did")
            write_reports(encoder, result, preset, page=report, trace=trace)
    values = {**dataclasses.asdict(result), "preset": preset,
              "port_bytes": config.bus.data_bytes, "vector_rows": config.vector.rows}  # fmt: skip
    values |= values.pop("simulated") or {}
    values.pop("activity", None)
    if json:
        print_json(values)
    else:
        if result.simulated and result.simulated.board:
            values["board"] = str(result.simulated.board)
        _print_similarity(values)
    if not values.get("bit_exact", True):
        raise typer.Exit(1)


def _print_similarity(values: dict[str, typing.Any]) -> None:
    """Print the matrix row by row, then the rest."""
    rows = values.pop("similarity")
    values["similarity"] = [" ".join(f"{value:6.3f}" for value in row) for row in rows]
    values["cosine"] = [f"{value:.5f}" for value in values["cosine"]]
    print_table(values)
