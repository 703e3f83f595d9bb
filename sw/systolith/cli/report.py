"""``systolith report``: what a core takes of a device, and how fast it runs there."""

import dataclasses
import enum
import typing

import typer

from systolith_hw.config import ConfigError

from .console import needs, print_json, print_table, stages
from .options import BusName, DeviceName, Json, PresetName, Settings, choose_config

__all__ = ["report"]


class Router(enum.StrEnum):
    """Routers of nextpnr."""

    ROUTER1 = "router1"
    ROUTER2 = "router2"


def report(
    preset: PresetName = "small",
    settings: Settings = None,
    device: DeviceName = None,
    seed: typing.Annotated[
        int | None, typer.Option(help="Of placement; else the one kept for the preset.", min=0)
    ] = None,
    router: typing.Annotated[
        Router | None, typer.Option(help="nextpnr's router; router2 unless another one is kept.")
    ] = None,
    mhz: typing.Annotated[
        float | None,
        typer.Option(help="Clock that place and route aims at; likewise.", min=1, max=1000),
    ] = None,
    unit: typing.Annotated[
        str, typer.Option(help="Place one unit alone: array, vector, load, store, ...")
    ] = "core",
    bus: typing.Annotated[
        BusName, typer.Option(help="The whole core's ports to memory and host.")
    ] = BusName.AXI4,
    json: Json = False,
) -> None:
    """Synthesise and place the whole core, or one unit; takes minutes."""
    from systolith_sim.verilator import cache_directory

    with needs("fpga"):
        from systolith_fpga.report import report as measure
        from systolith_fpga.units import UNITS

    if device is not None:
        settings = [*(settings or []), f"device={device}"]
    if unit not in UNITS:
        raise ConfigError(f"there is no unit {unit}; known are {', '.join(UNITS)}")
    if unit != "core" and bus != BusName.AXI4:
        raise ConfigError(f"--bus {bus} is of the whole core; a unit alone has no bus")
    config = choose_config(preset, settings)
    run = f"{config.hash:08x}-{config.device}-{unit}-{seed}-{router}-{mhz}-{bus}"
    folder = cache_directory() / "report" / run
    told = {"seed": seed, "router": router and str(router), "target_mhz": mhz}
    chosen = {name: value for name, value in told.items() if value is not None}
    with stages("emitting Verilog", plain=json) as progress:
        result = measure(
            config, config.device, folder, unit, bus=str(bus), on_stage=progress, **chosen
        )
    values = {"preset": preset, "unit": unit, "bus": str(bus), **dataclasses.asdict(result),
              "folder": str(folder)}  # fmt: skip
    if json:
        print_json(values)
    else:
        print_table(values)
