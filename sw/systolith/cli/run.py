"""``systolith run``: real models on the generated hardware."""

import dataclasses
import typing

import typer

from .console import needs, print_json, print_table, stages
from .options import (
    Json,
    PortBytes,
    PresetName,
    Settings,
    Simulator,
    SimulatorName,
    choose_config,
)

__all__ = ["run"]

run = typer.Typer(help="Run real models on the generated Verilog.", no_args_is_help=True)


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
