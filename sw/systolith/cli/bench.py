"""``systolith bench``: cycles, bandwidth and exactness from the hardware's own counters."""

import dataclasses
import enum
import typing

import typer

from systolith_hw.config import ConfigError

from .console import needs, print_json, print_table, stages
from .operands import RESIDENT, Context, LanguageOperands, LanguagePreset, choose_core, reach
from .options import (
    Json,
    Operands,
    PortBytes,
    PresetName,
    Settings,
    Simulator,
    SimulatorName,
    Weights,
    WeightsName,
    choose_config,
    refuse_beside,
    require_backend,
)

__all__ = ["bench"]

bench = typer.Typer(help="Measure the generated Verilog in simulation.", no_args_is_help=True)


class Backend(enum.StrEnum):
    """Who computes."""

    RTL = "rtl"
    MACHINE = "machine"


BackendName = typing.Annotated[
    Backend,
    typer.Option(help="rtl: the generated Verilog; machine: the functional machine, without time."),
]
Seed = typing.Annotated[int, typer.Option(help="Of the random numbers.", min=0)]


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
        Operands,
        typer.Option(help="onchip: loaded before, and results stay on chip if there is room for "
                     "them (JSON says so), or else leave through the port; stream: from external "
                     "memory, and back to it."),
    ] = Operands.ONCHIP,
    weights: WeightsName = Weights.INT8,
    port_bytes: PortBytes = None,
    sim: SimulatorName = Simulator.VERILATOR,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Multiply random matrices, M x K by K x N, and compare with the machine bit for bit."""
    from ..bench import bench_matmul

    config = choose_config(preset, settings, port_bytes=port_bytes)
    with stages("preparing", plain=json) as progress:
        result = bench_matmul(config, m, k, n, weights=str(weights), operands=str(operands),
                              simulator=str(sim), seed=seed, progress=progress)  # fmt: skip
    values = {"preset": preset, "simulator": str(sim), **dataclasses.asdict(result)}
    _show(values, json)


@bench.command()
def attention(
    ctx: typer.Context,
    seq: typing.Annotated[int, typer.Option("--seq", help="Tokens.")],
    heads: typing.Annotated[int, typer.Option("--heads", help="Heads.")],
    head_dim: typing.Annotated[int, typer.Option("--head-dim", help="Features of each head.")],
    causal: typing.Annotated[
        bool, typer.Option("--causal", help="No token attends to those behind it.")
    ] = False,
    preset: PresetName = "ulx3s",
    settings: Settings = None,
    port_bytes: PortBytes = None,
    backend: BackendName = Backend.RTL,
    sim: SimulatorName = Simulator.VERILATOR,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compute scores, softmax and context of random heads, and compare with the machine."""
    _require_hardware(ctx, backend)
    from ..bench_attention import bench_attention

    config = choose_config(preset, settings, port_bytes=port_bytes)
    with stages("preparing", plain=json) as progress:
        result = bench_attention(
            config, seq, heads=heads, features=head_dim, causal=causal, backend=str(backend),
            simulator=str(sim), seed=seed, progress=progress,
        )  # fmt: skip
    _show({"preset": preset, **_who(backend, sim), **dataclasses.asdict(result)}, json)


class Model(enum.StrEnum):
    """Whose layer."""

    MINILM = "minilm"


@bench.command()
def layer(
    ctx: typer.Context,
    seq: typing.Annotated[int, typer.Option("--seq", help="Tokens.")],
    model: typing.Annotated[Model, typer.Option(help="Whose first layer.")] = Model.MINILM,
    preset: PresetName = "ulx3s",
    settings: Settings = None,
    port_bytes: PortBytes = None,
    backend: BackendName = Backend.RTL,
    sim: SimulatorName = Simulator.VERILATOR,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compute a whole layer with its real weights, streamed, and compare with the machine."""
    _require_hardware(ctx, backend)
    config = choose_config(preset, settings, port_bytes=port_bytes)
    with needs("models"):
        from ..bench_layer import bench_layer
        from ..models.minilm import MiniLM

    with stages(f"fetching {model}", plain=json) as progress:
        result = bench_layer(
            MiniLM.fetch(progress), config, seq, backend=str(backend), simulator=str(sim),
            seed=seed, progress=progress,
        )  # fmt: skip
    values = {"model": str(model), "preset": preset, **_who(backend, sim)}
    _show(values | dataclasses.asdict(result), json)


@bench.command()
def decode(
    ctx: typer.Context,
    position: typing.Annotated[int, typer.Option(help="Tokens in front of the measured one.")],
    model: typing.Annotated[
        str, typer.Option(help="A language model's name or path, as for systolith run.")
    ] = "stories-260k",
    arch: typing.Annotated[
        str | None,
        typer.Option(help="Random weights in place of a model: llama or microgpt, with --dims."),
    ] = None,
    dims: typing.Annotated[
        str | None, typer.Option(help="Its sizes: layers=1,dim=24,heads=4,hidden=96,vocab=27.")
    ] = None,
    preset: LanguagePreset = None,
    settings: Settings = None,
    operands: LanguageOperands = None,
    context: Context = None,
    weights: WeightsName = Weights.INT8,
    port_bytes: PortBytes = None,
    backend: BackendName = Backend.RTL,
    sim: SimulatorName = Simulator.VERILATOR,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compute one token of a language model in a text that the core makes by itself."""
    _require_pair(arch, dims)
    _require_hardware(ctx, backend)
    if arch:
        refuse_beside(ctx, "--arch", "model")
    choose_config(preset or RESIDENT, settings, port_bytes=port_bytes)  # refuses at once
    from ..bench_decode import bench_decode
    from ..bench_decode_streamed import bench_decode_streamed
    from ..models.quantized_shape import quantize_shape
    from ..models.shape_only import shape_only_decoder

    with needs("models"), stages("reading the model", plain=json) as progress:
        name, place = model, (operands, preset, settings, port_bytes)
        if arch is not None and dims is not None:
            name = f"{arch} {dims}"
            core = choose_core(name, shape_only_decoder(arch, dims, seed), *place)
            integers = quantize_shape(
                arch, dims, core.config, weights=str(weights), seed=seed, streamed=core.streamed
            )
        else:
            from ..models.library import load_language_model
            from ..models.quantized_language import quantize_language

            floats = load_language_model(name, progress)
            core = choose_core(name, floats.decoder, *place)
            integers = quantize_language(
                floats, core.config, str(weights), progress, streamed=core.streamed
            )
        measure = bench_decode_streamed if core.streamed else bench_decode
        result = measure(
            integers, reach(core, integers, settings, context=context), position, context=context,
            backend=str(backend), simulator=str(sim), seed=seed, progress=progress,
        )  # fmt: skip
    values = {"model": name, **core.place, "weights": str(weights), **_who(backend, sim)}
    _show(values | dataclasses.asdict(result), json)


@bench.command()
def prefill(
    ctx: typer.Context,
    tokens: typing.Annotated[int, typer.Option(help="Of the prompt.", min=1)],
    model: typing.Annotated[
        str, typer.Option(help="Whose layers, by their sizes: smollm2; weights are random.")
    ] = "smollm2",
    arch: typing.Annotated[
        str | None, typer.Option(help="Others in place of a model's: llama, with --dims.")
    ] = None,
    dims: typing.Annotated[
        str | None, typer.Option(help="Their sizes, as for bench decode.")
    ] = None,
    layers: typing.Annotated[
        int, typer.Option(help="Layers of the model that are computed.", min=1)
    ] = 1,
    preset: PresetName = "ulx3s",
    settings: Settings = None,
    port_bytes: PortBytes = None,
    backend: BackendName = Backend.RTL,
    sim: SimulatorName = Simulator.VERILATOR,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compute layers of a language model for a whole prompt, weights streamed, without the head."""
    _require_pair(arch, dims)
    _require_hardware(ctx, backend)
    if arch:
        refuse_beside(ctx, "--arch", "model", "layers")
    config = choose_config(preset, settings, port_bytes=port_bytes)
    from ..bench_prefill import bench_prefill
    from ..models.quantized_shape import quantize_shape
    from ..models.shape_only import layer_dimensions

    architecture, model_layers = arch or "llama", None
    if dims is None:
        model_layers, dims = layer_dimensions(model, layers, tokens)
    with stages("choosing weights", plain=json) as progress:
        integers = quantize_shape(architecture, dims, config, seed=seed, streamed=True)
        result = bench_prefill(
            integers, config, tokens, model_layers=model_layers, backend=str(backend),
            simulator=str(sim), seed=seed, progress=progress,
        )  # fmt: skip
    name = model if arch is None else f"{arch} {dims}"
    values = {"model": name, "weights": "random", "preset": preset, **_who(backend, sim)}
    _show(values | dataclasses.asdict(result), json)


def _require_pair(arch: str | None, dims: str | None) -> None:
    """Refuse a kind of model without sizes, and sizes of no kind."""
    if (arch is None) != (dims is None):
        raise ConfigError("--arch and --dims go together")


def _require_hardware(ctx: typer.Context, backend: Backend) -> None:
    """Refuse the choice of a simulator where none runs."""
    require_backend(ctx, backend, {"sim": (Backend.RTL,)})


def _who(backend: Backend, sim: Simulator) -> dict[str, str]:
    """Return who computed."""
    simulator = {"simulator": str(sim)} if backend == Backend.RTL else {}
    return {"backend": str(backend), **simulator}


def _show(values: dict[str, typing.Any], json: bool) -> None:
    """Print what was measured; end with an error if it was wrong."""
    if json:
        print_json(values)
    else:
        print_table({name: value for name, value in values.items() if value is not None})
    if not values["bit_exact"]:
        raise typer.Exit(1)
