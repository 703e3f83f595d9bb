"""``systolith bench``: cycles, bandwidth and exactness from the hardware's own counters."""

import dataclasses
import enum
import typing

import typer

from .console import print_json, print_table, stages
from .options import (
    Json,
    PortBytes,
    PresetName,
    Settings,
    Simulator,
    SimulatorName,
    choose_config,
)

__all__ = ["bench"]

bench = typer.Typer(help="Measure the generated Verilog in simulation.", no_args_is_help=True)


class Operands(enum.StrEnum):
    """Where the operands are when the clock starts to count."""

    ONCHIP = "onchip"
    STREAM = "stream"


@bench.callback()
def _group() -> None:
    """Measure the generated Verilog in simulation."""


@bench.command()
def matmul(
    m: typing.Annotated[int, typer.Option("--m", help="Tokens.")],
    k: typing.Annotated[int, typer.Option("--k", help="Elements of each dot product.")],
    n: typing.Annotated[int, typer.Option("--n", help="Output channels.")],
    preset: PresetName = "small",
    settings: Settings = None,
    operands: typing.Annotated[
        Operands, typer.Option(help="onchip: loaded before; stream: from external memory.")
    ] = Operands.ONCHIP,
    port_bytes: PortBytes = None,
    sim: SimulatorName = Simulator.VERILATOR,
    seed: typing.Annotated[int, typer.Option(help="Of the random numbers multiplied.", min=0)] = 0,
    json: Json = False,
) -> None:
    """Multiply random matrices, M x K by K x N, and compare with the machine bit for bit."""
    from ..bench import bench_matmul

    config = choose_config(preset, settings, port_bytes=port_bytes)
    with stages("preparing", plain=json) as progress:
        result = bench_matmul(config, m, k, n, operands=str(operands), simulator=str(sim),
                              seed=seed, progress=progress)  # fmt: skip
    values = {"preset": preset, "simulator": str(sim), **dataclasses.asdict(result)}
    if json:
        print_json(values)
    else:
        print_table(values)
    if not result.bit_exact:
        raise typer.Exit(1)
