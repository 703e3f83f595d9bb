"""``systolith generate``: one config into one Verilog file and what goes with it."""

import enum
import json
import typing
from pathlib import Path

import typer

from systolith_hw.budget import check_budget

from .console import say, stages
from .options import PresetName, Settings, choose_config

__all__ = ["generate"]


class Target(enum.StrEnum):
    """Whose multiplier and memory cells the Verilog may name."""

    GENERIC = "generic"
    ECP5 = "ecp5"
    ICE40 = "ice40"


def generate(
    output: typing.Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    preset: PresetName = "small",
    settings: Settings = None,
    target: typing.Annotated[
        Target, typer.Option(help="Whose multipliers and memories to instantiate.")
    ] = Target.GENERIC,
) -> None:
    """Write systolith.v, manifest.json and ports.md."""
    config = choose_config(preset, settings)
    check_budget(config)
    from systolith_hw.emit import emit, ports_markdown

    with stages(f"emitting {preset} for {target}"):
        emitted = emit(config, str(target))
    output.mkdir(parents=True, exist_ok=True)
    (output / "systolith.v").write_text(emitted.verilog)
    (output / "manifest.json").write_text(json.dumps(emitted.manifest, indent=2) + "\n")
    (output / "ports.md").write_text(ports_markdown(config))
    say(f"wrote systolith.v, manifest.json and ports.md to {output}")
