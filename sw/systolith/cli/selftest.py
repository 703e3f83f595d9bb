"""``systolith selftest``: a check of every unit of a core."""

import typing

import typer

from systolith_hw.config import Config, ConfigError

from .console import print_json, say, stages
from .options import (
    Json,
    PresetName,
    Settings,
    Simulator,
    SimulatorName,
    choose_config,
    refuse_beside,
)

__all__ = ["selftest"]

RTL = "rtl"


def selftest(
    ctx: typer.Context,
    device: typing.Annotated[
        str, typer.Option("--device", metavar="PORT|rtl", help="The board behind a serial port, "
                          "such as /dev/ttyUSB0; sim:BOARD, a board in a simulator; or rtl, the "
                          "generated Verilog in one.")
    ],
    preset: PresetName = "small",
    settings: Settings = None,
    sim: SimulatorName = Simulator.VERILATOR,
    seed: typing.Annotated[int, typer.Option(help="Of the numbers to compute with.", min=0)] = 1,
    full: typing.Annotated[
        bool, typer.Option("--full", help="Check every byte of memory, not only its lines: minutes "
                           "for 32 MiB over a serial line of 3 Mbaud.")
    ] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Check registers, memory and every unit, with programs whose results are known.

    A board's preset is found by itself, unless it has settings of its own: then give them. Its
    memory is overwritten. Ends with status 1 if a check fails.
    """
    from ..link.ports import is_port
    from ..selftest.checks import selftest as check
    from ..selftest.probe import SPACE, least_space
    from ..workload import open_device

    if device != RTL and not is_port(device):
        raise ConfigError(f"--device takes rtl or a port such as /dev/ttyUSB0, not {device}")
    if device != RTL:
        refuse_beside(ctx, "--device PORT", "sim")
    config = _config(ctx, device, preset, settings)
    where = str(sim) if device == RTL else device
    findings = []
    with stages(f"opening {device}", plain=json) as progress:
        size = SPACE if device == RTL else least_space(config)
        opened = open_device(config, size, where, progress)
    try:
        with opened, stages("checking", plain=json) as progress:
            for finding in check(opened, config, seed=seed, full=full, progress=progress):
                findings.append(finding)
    finally:  # what was found before a board was lost, too
        for finding in [] if json else findings:
            verdict = "ok" if finding.passed else "FAILED"
            print(f"{verdict:7}{finding.check:12} {finding.units}: {finding.detail}")
    failed = [finding.check for finding in findings if not finding.passed]
    if json:
        print_json({
            "device": device, "config_hash": f"{config.hash:#010x}", "passed": not failed,
            "checks": [finding._asdict() for finding in findings],
        })  # fmt: skip
    elif failed:
        say(f"{len(failed)} of {len(findings)} checks failed, the first is {failed[0]}")
    if failed:
        raise typer.Exit(1)


def _config(
    ctx: typer.Context, device: str, preset: str, settings: list[str] | None
) -> Config:
    """Return the config that was asked for, or that of the board's preset."""
    from ..link.known_cores import known_cores
    from ..link.ports import SIMULATED, split_port
    from ..link.serial_device import identify

    source = ctx.get_parameter_source("preset")
    given = source is not None and source.name == "COMMANDLINE"
    if device.startswith(SIMULATED) and not settings:
        from systolith_fpga.boards import board_named

        return board_named(device.split(":")[1]).config(preset if given else None)
    if device == RTL or settings or given:
        return choose_config(preset, settings)
    name, baud = split_port(device)
    identity = identify(name, baud=baud)
    if known := known_cores().get(identity.config_hash):
        return known.config
    raise ConfigError(
        f"the core of {identity.board} was generated from configuration "
        f"{identity.config_hash:08x}, which is no preset: give --preset and --set as it was built"
    )
