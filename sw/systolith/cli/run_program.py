"""``systolith run MODEL.sysl``: a compiled model on inputs from a file."""

import typing
from pathlib import Path

import typer

from .arrays import Inputs, InputsPath, read_inputs, require_folder
from .console import print_json, say, stages
from .model_command import model_name
from .options import (
    ClockMhz,
    Computer,
    ComputerName,
    Json,
    PortName,
    Simulator,
    SimulatorName,
    choose_device,
    require_backend,
)

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..engine_report import EngineReport
    from ..model_program import ModelProgram
    from ..progress import Progress

__all__ = ["run_program"]

ACTS = {"sim": (Computer.RTL,), "device": (Computer.RTL,), "clock_mhz": (Computer.RTL,)}
"""With whom options do something; others act with everybody."""


class Result(typing.NamedTuple):
    """Outputs by name, what the run was, and whether hardware and machine agree."""

    outputs: Inputs
    report: "EngineReport | None" = None
    bit_exact: bool | None = None
    clock_mhz: float = 0.0


def run_program(
    ctx: typer.Context,
    inputs: InputsPath,
    backend: ComputerName = Computer.RTL,
    output: typing.Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the outputs to an .npz file, by name.",
                     dir_okay=False),
    ] = None,
    sim: SimulatorName = Simulator.VERILATOR,
    device: PortName = None,
    clock_mhz: ClockMhz = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Run a file that systolith compile wrote, for the core that it was compiled for.

    The host does its part in float32, and what the core did is compared with float32, too.
    """
    require_backend(ctx, backend, ACTS)
    where = choose_device(ctx, device, sim)
    require_folder("--output", output)
    name = model_name(ctx)
    import numpy as np

    from ..model_program import load_program

    with stages(f"reading {name}", plain=json) as progress:
        program = load_program(name)
        result = _compute(program, read_inputs(inputs), backend, where, progress)
    if output is not None:
        with output.open("wb") as file:
            np.savez(file, allow_pickle=False, **result.outputs)
    if json:
        print_json({"model": name, "backend": str(backend),
                    **_values(result, clock_mhz)})  # fmt: skip
    else:
        _print(result, output)
    if result.bit_exact is False:
        raise typer.Exit(1)


def _compute(
    program: "ModelProgram", inputs: Inputs, backend: Computer, where: str,
    progress: "Progress",
) -> Result:  # fmt: skip
    """Run a program; on the hardware, also on the machine."""
    from ..engine import InferenceEngine
    from ..graph.executor import run
    from ..graph.model_inputs import named_inputs
    from ..link.ports import is_port

    names = program.graph.outputs

    def outputs(engine: InferenceEngine) -> Inputs:
        values = engine(**inputs)
        return dict(zip(names, values if len(names) > 1 else (values,), strict=True))

    if backend == Computer.FLOAT:
        progress("computing in float32")
        return Result(run(program.graph, named_inputs(program.graph, inputs)))
    progress("running the functional machine")
    machine = InferenceEngine(program)
    predicted = outputs(machine)
    if backend == Computer.MACHINE:
        return Result(predicted, machine.report())
    device = {"device": where} if is_port(where) else {"device": "rtl", "simulator": where}
    with InferenceEngine(program, progress=progress, **device) as engine:
        got = outputs(engine)
        report, clock_mhz = engine.report(), engine.clock_mhz
    exact = all(_same_bits(got[name], predicted[name]) for name in names)
    return Result(got, report, exact, clock_mhz)


def _same_bits(got: "NDArray", want: "NDArray") -> bool:
    """Return whether two arrays are the same, bit for bit, also where they are no numbers."""
    same = (got.dtype, got.shape) == (want.dtype, want.shape)
    return same and got.tobytes() == want.tobytes()


def _values(result: Result, asked_mhz: float | None) -> dict[str, typing.Any]:
    """Return what JSON says of a run."""
    values: dict[str, typing.Any] = {
        "outputs": {
            name: {"dtype": str(value.dtype), "shape": list(value.shape)}
            for name, value in result.outputs.items()
        }
    }
    if result.report is not None:
        values |= result.report.to_dict()
        if cycles := result.report.cycles:
            clock_mhz = asked_mhz or result.clock_mhz
            values |= {"clock_mhz": clock_mhz, "milliseconds": cycles / clock_mhz / 1000}
    if result.bit_exact is not None:
        values["bit_exact"] = result.bit_exact
    return values


def _print(result: Result, output: Path | None) -> None:
    """Print outputs, unless they went to a file, and the report."""
    for name, value in result.outputs.items():
        print(f"{name}: {value.dtype}{list(value.shape)}")
        if output is None:
            print(value)
    if result.report is not None:
        print(result.report)
    if result.bit_exact is not None:
        say("every bit is that of the machine" if result.bit_exact
            else "the hardware's bits are NOT those of the machine")  # fmt: skip
