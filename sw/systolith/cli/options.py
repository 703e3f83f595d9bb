"""Options that several commands share, and the config that they choose."""

import enum
import typing
from collections.abc import Mapping, Sequence

import typer

from systolith_hw.budget import device
from systolith_hw.config import Config, ConfigError
from systolith_hw.presets import PRESETS, preset

__all__ = [
    "BusName",
    "ClockMhz",
    "Computer",
    "ComputerName",
    "DeviceName",
    "Json",
    "Operands",
    "PortBytes",
    "PortName",
    "PresetName",
    "Settings",
    "Simulator",
    "SimulatorName",
    "Weights",
    "WeightsName",
    "bus_of",
    "choose_config",
    "choose_device",
    "preset_on",
    "refuse_beside",
    "require_backend",
]


class BusName(enum.StrEnum):
    """What the core has towards memory and host."""

    AXI4 = "axi4"
    WISHBONE = "wishbone"
    NATIVE = "native"


class Simulator(enum.StrEnum):
    """Which simulator runs the emitted Verilog, or what synthesis makes of it."""

    VERILATOR = "verilator"
    ICARUS = "icarus"
    NETLIST = "netlist"


class Weights(enum.StrEnum):
    """Which integers weights are, a key of ``CODECS``."""

    INT8 = "int8"
    INT4 = "int4"
    INT4_EXPONENT = "int4-exponent"


class Operands(enum.StrEnum):
    """Where the operands are when the clock starts to count."""

    ONCHIP = "onchip"
    STREAM = "stream"


class Computer(enum.StrEnum):
    """Who runs a model."""

    RTL = "rtl"
    MACHINE = "machine"
    FLOAT = "float"


PresetName = typing.Annotated[
    str, typer.Option("--preset", "-p", help=f"One of {', '.join(PRESETS)}.")
]
Settings = typing.Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PART.FIELD=VALUE", help="Change one setting; may be repeated."),
]
Json = typing.Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
PortBytes = typing.Annotated[
    int | None,
    typer.Option(help="Bytes per cycle of the memory port, bus.data_bytes; the preset's if not "
                 "given. Bursts are as long as the preset's, but of at most 4096 bytes."),
]  # fmt: skip
SimulatorName = typing.Annotated[Simulator, typer.Option("--sim", help="Simulator.")]
PortName = typing.Annotated[
    str | None,
    typer.Option("--device", metavar="PORT", help="Instead of a simulator: the board behind this "
                 "serial port, such as /dev/ttyUSB0; PORT@BAUD if it has an uncommon rate."),
]  # fmt: skip
ComputerName = typing.Annotated[
    Computer,
    typer.Option("--backend", help="rtl: the generated Verilog, compared with the functional "
                 "machine; machine: that alone; float: float32 without any hardware."),
]  # fmt: skip
WeightsName = typing.Annotated[
    Weights,
    typer.Option("--weights", help="Of 8 bits, or 4-bit codes with parameters for 32 inputs each: "
                 "slope and offset (int4, 4.5 bits a weight) or a power of two (int4-exponent). "
                 "The hardware needs bus.codecs for those."),
]  # fmt: skip
ClockMhz = typing.Annotated[
    float | None,
    typer.Option(help="Clock at which cycles are told as time.", min=1.0, show_default="80"),
]
DeviceName = typing.Annotated[
    str | None, typer.Option(help="Part to build for; the preset's if not given.")
]


def choose_config(
    name: str, settings: list[str] | None = None, *, port_bytes: int | None = None
) -> Config:
    """Return the preset ``name`` with ``settings`` changed.

    Raises
    ------
    ConfigError
        With a sentence that names what is wrong.
    """
    changes: dict[str, typing.Any] = {}
    for setting in settings or []:
        path, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set takes PART.FIELD=VALUE, not {setting}")
        changes[path.strip()] = value.strip()
    chosen = preset(name)
    if port_bytes is not None:
        changes.pop("bus.data_bytes", None)
        chosen = chosen.with_port(port_bytes)
    config = chosen.replace(changes)
    if config.device:
        device(config.device)  # whatever the command is, an unknown name is refused at once
    return config


def bus_of(
    where: str, settings: list[str] | None, port_bytes: int | None
) -> tuple[list[str] | None, int | None]:
    """Return settings and port as asked for, with those of the simulated board that the core is on
    where nothing was."""
    from ..link.ports import SIMULATED

    if port_bytes is not None or not where.startswith(SIMULATED):
        return settings, port_bytes
    from systolith_fpga.boards import board_named

    board = board_named(where.split(":")[1])
    return [f"bus.burst_beats={board.burst_beats}", *(settings or [])], board.data_bytes


def preset_on(where: str, *usual: str) -> str | None:
    """Return the preset of the simulated board that a core is on, if that has none of the usual
    ones."""
    from ..link.ports import SIMULATED

    if not where.startswith(SIMULATED):
        return None
    from systolith_fpga.boards import board_named

    variants = board_named(where.split(":")[1]).variants
    return None if set(usual) & set(variants) else next(iter(variants))


def choose_device(ctx: typer.Context, port: str | None, sim: Simulator) -> str:
    """Return where hardware runs: the port of a board if one was given, or a simulator.

    Raises
    ------
    ConfigError
        If it is no port, or both were given.
    """
    if port is None:
        return str(sim)
    refuse_beside(ctx, "--device", "sim")
    from ..link.ports import is_port, split_port

    split_port(port)
    if not is_port(port):
        raise ConfigError(
            f"--device takes a serial port, such as /dev/ttyUSB0, not {port}; "
            "`systolith devices` lists those with a board"
        )
    return port


def require_backend(
    ctx: typer.Context, backend: enum.StrEnum, acts: Mapping[str, Sequence[enum.StrEnum]]
) -> None:
    """Refuse options that were given and would do nothing with a backend.

    Parameters
    ----------
    ctx : Context
        Of the running command.
    backend : StrEnum
        What was chosen.
    acts : dict
        The backends with which a parameter of the command does something, by its name.

    Raises
    ------
    ConfigError
    """
    for name, backends in acts.items():
        if backend not in backends and _given(ctx, name):
            *others, last = map(str, backends)
            names = f"{', '.join(others)} or {last}" if others else last
            raise ConfigError(
                f"{_option(ctx, name)} takes --backend {names}, and does nothing with {backend}; "
                "leave it out"
            )


def refuse_beside(ctx: typer.Context, option: str, *names: str) -> None:
    """Refuse parameters of a command that were given beside an option that takes their place.

    Raises
    ------
    ConfigError
    """
    for name in names:
        if _given(ctx, name):
            raise ConfigError(f"{_option(ctx, name)} does nothing beside {option}; leave one out")


def _given(ctx: typer.Context, name: str) -> bool:
    """Return whether somebody has written an option."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _option(ctx: typer.Context, name: str) -> str:
    """Return how an option is written."""
    return next(one.opts[0] for one in ctx.command.params if one.name == name)
