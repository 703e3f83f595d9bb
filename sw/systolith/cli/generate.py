"""``systolith generate``: one config into one Verilog file and what goes with it."""

import enum
import json
import typing
from pathlib import Path

import typer

from systolith_hw.budget import check_budget
from systolith_hw.config import ConfigError

from .console import say, stages
from .options import BusName, PresetName, Settings, choose_config

__all__ = ["generate"]


class Target(enum.StrEnum):
    """Whose multiplier and memory cells the Verilog may name."""

    GENERIC = "generic"
    ECP5 = "ecp5"
    ICE40 = "ice40"


def generate(
    output: typing.Annotated[
        str | None, typer.Option("--output", "-o", help="Folder to write to.")
    ] = None,
    preset: PresetName = "small",
    settings: Settings = None,
    target: typing.Annotated[
        Target, typer.Option(help="Whose multipliers and memories to instantiate.")
    ] = Target.GENERIC,
    bus: typing.Annotated[
        BusName, typer.Option(help="Ports to memory and host; programs are the same for all.")
    ] = BusName.AXI4,
    package: typing.Annotated[
        str | None,
        typer.Option(metavar="DIR", help="New folder for a whole package: Verilog, an example "
                     "around it, FuseSoC, LiteX, IP-XACT, registers, driver in C, README."),
    ] = None,
    force: typing.Annotated[
        bool, typer.Option("--force", help="Replace the package that is there.")
    ] = False,
) -> None:
    """Write systolith.v, manifest.json and ports.md, or with --package all that others need."""
    if (output is None) == (package is None):
        raise ConfigError("give one of --output FOLDER and --package DIR")
    if force and package is None:
        raise ConfigError("--force does nothing without --package; leave it out")
    config = choose_config(preset, settings)
    check_budget(config)
    if package is not None:
        from ..package import check_folder, package_files, write_package

        place = check_folder(package, force=force)
        with stages(f"packaging {preset} for {target} with {bus}"):
            files = package_files(config, preset=preset, bus=str(bus), target=str(target))
        write_package(files, place)
        say(f"wrote {len(files)} files to {place}; begin with README.md")
        return
    assert output is not None
    folder = _make_folder(output)
    from systolith_hw.emit import emit
    from systolith_hw.ports import ports_markdown

    with stages(f"emitting {preset} for {target}"):
        emitted = emit(config, str(target), str(bus))
    (folder / "systolith.v").write_text(emitted.verilog)
    (folder / "manifest.json").write_text(json.dumps(emitted.manifest, indent=2) + "\n")
    (folder / "ports.md").write_text(ports_markdown(config, str(bus)))
    say(f"wrote systolith.v, manifest.json and ports.md to {folder}")


def _make_folder(name: str) -> Path:
    """Return the folder to write to, made before anything else takes time."""
    if not name.strip():
        raise ConfigError("--output must name a folder, and is empty; . is the one you are in")
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "systolith.v").touch()
    except OSError as error:
        raise ConfigError(
            f"--output {name} is no folder that can be written to: {error.strerror}"
        ) from error
    return folder
