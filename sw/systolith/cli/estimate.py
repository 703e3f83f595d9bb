"""``systolith estimate``: how long a model takes on a core, without any hardware."""

import dataclasses
import typing
from pathlib import Path

import typer

from systolith_hw.config import Config
from systolith_hw.presets import PRESETS

from .arrays import read_inputs
from .console import needs, print_json, print_table, stages
from .operands import (
    STREAMED,
    Context,
    LanguageOperands,
    choose_core,
    operands_by_size,
    reach,
)
from .options import (
    ClockMhz,
    Json,
    Operands,
    PortBytes,
    Settings,
    Weights,
    WeightsName,
    choose_config,
    refuse_beside,
)

if typing.TYPE_CHECKING:
    from systolith_sim.transformer.decoder_reference import FloatDecoder

    from ..estimate.choices import Answer, Cores
    from ..estimate.estimate import Estimate
    from ..progress import Progress

__all__ = ["estimate_model"]

OWN = "of the file"
"""In place of a preset: a compiled model is for one core."""

ENCODER = "minilm"
COMPILED, GRAPH = ".sysl", ".onnx"
TOKENS, POSITION = 32, 64

ENCODERS_ONLY = ("tokens", "inputs")
LANGUAGE_ONLY = ("position", "context", "operands", "weights")


def estimate_model(
    ctx: typer.Context,
    model: typing.Annotated[
        str,
        typer.Argument(help="minilm, an ONNX file, a .sysl file, or a language model's name or "
                       "path as for systolith run.", metavar="MODEL"),
    ],
    preset: typing.Annotated[
        str | None,
        typer.Option("--preset", "-p", help=f"One of {', '.join(PRESETS)}; by default the one that "
                     "systolith run takes."),
    ] = None,
    settings: Settings = None,
    port_bytes: PortBytes = None,
    tokens: typing.Annotated[
        int | None,
        typer.Option(help=f"Of an encoder's sentence; by default {TOKENS}, or a .sysl file's most.",
                     min=1),
    ] = None,
    inputs: typing.Annotated[
        Path | None,
        typer.Option(help="Of an ONNX file: an .npz file with a typical batch.", dir_okay=False),
    ] = None,
    position: typing.Annotated[
        int, typer.Option(help="Of a language model: tokens in front of the one estimated.")
    ] = POSITION,
    context: Context = None,
    operands: LanguageOperands = None,
    weights: WeightsName = Weights.INT8,
    clock_mhz: ClockMhz = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Tell cycles, bytes, the bottleneck and the memory of a model, and which preset would suit.

    Cycles are those of the model's program, instruction by instruction, with their times in place
    of what they compute; measured on the hardware they are within 3 %.
    """

    def configure(name: str) -> Config:
        return choose_config(name, settings, port_bytes=port_bytes)

    configure(preset or STREAMED)  # refuses at once
    encoder = model == ENCODER or model.endswith((COMPILED, GRAPH))
    if model == ENCODER or not encoder:
        refuse_beside(ctx, model, *(LANGUAGE_ONLY if encoder else ENCODERS_ONLY))
    elif model.endswith(COMPILED):
        refuse_beside(ctx, model, "inputs", "preset", "settings", "port_bytes")
    else:
        refuse_beside(ctx, model, "tokens")
    from ..estimate.choices import Answer, Cores
    from ..workload import CLOCK_MHZ

    clock, cores = clock_mhz or CLOCK_MHZ, Cores(configure, preset)
    token = Token(position, context, operands, str(weights), settings, port_bytes)
    with needs("models"), stages(f"reading {model}", plain=json) as progress:
        if model == ENCODER:
            refuse_beside(ctx, model, "inputs")
            answer = _minilm(tokens or TOKENS, clock, cores, progress)
        elif model.endswith(COMPILED):
            from ..estimate.program import estimate_program
            from ..model_program import load_program

            program = load_program(model)
            answer = Answer(OWN, estimate_program(program, tokens, position, clock))
        elif model.endswith(GRAPH):
            answer = _graph(model, inputs, token, clock, cores, progress)
        else:
            from ..models.library import load_language_model

            floats = load_language_model(model, progress).decoder
            answer = _language(model, floats, token, clock, cores, progress)
    _show(model, answer, json)


class Token(typing.NamedTuple):
    """Which token of a language model, in which text, and how the model is kept."""

    position: int
    context: int | None
    operands: Operands | None
    weights: str
    settings: list[str] | None
    port_bytes: int | None


def _minilm(tokens: int, clock: float, cores: "Cores", progress: "Progress") -> "Answer":
    from ..estimate.encoder import MINILM, EncoderSizes, estimate_encoders

    sizes = EncoderSizes(shape=MINILM, lengths=[tokens])
    return cores.answer(
        STREAMED, lambda config: estimate_encoders(config, [sizes], clock), progress
    )


def _graph(
    model: str, inputs: Path | None, token: Token, clock: float, cores: "Cores",
    progress: "Progress",
) -> "Answer":  # fmt: skip
    from ..estimate.graph import estimate_cut
    from ..graph.decoder_part import find_decoder, float_decoder
    from ..model_compiler import cut_model

    example = None if inputs is None else read_inputs(inputs)
    core = cores.config(STREAMED)
    first = cut_model(model, example, core, progress)
    if part := find_decoder(first.graph):
        floats = float_decoder(first.graph, part, core.array.max_k)
        return _language(model, floats, token, clock, cores, progress)
    return cores.answer(
        STREAMED, lambda config: estimate_cut(config, first, core, clock), progress
    )


def _language(
    name: str, floats: "FloatDecoder", token: Token, clock: float, cores: "Cores",
    progress: "Progress",
) -> "Answer":  # fmt: skip
    from ..compiler.blank_decoder import blank_decoder
    from ..estimate.language import estimate_language

    core = choose_core(
        name, floats, token.operands, cores.preset, token.settings, token.port_bytes
    )

    def estimate(config: Config) -> "Estimate":
        operands = token.operands or operands_by_size(floats, config)
        own = dataclasses.replace(core, config=config, operands=operands)
        blank = blank_decoder(config, floats, token.weights, streamed=own.streamed)
        return estimate_language(
            reach(own, blank, token.settings, context=token.context), blank, token.position, clock,
            context=token.context, streamed=own.streamed,
        )  # fmt: skip

    return cores.answer(core.preset, estimate, progress)


def _show(model: str, answer: "Answer", json: bool) -> None:
    """Print JSON, or a table."""
    values = {"model": model, **answer.to_dict()}
    if json:
        print_json(values)
        return
    values["busy"] = [f"{name} {share:.1%}" for name, share in values["busy"].items()]
    values["chip"] = [
        f"{row['memory']}: {row['used']:,} of {row['words']:,}" for row in values["chip"]
    ]
    del values["timing"]
    values["presets"] = [
        f"{one.preset}: {one.cycles:,} cycles, {one.milliseconds:.2f} ms" if one.fits
        else f"{one.preset}: no, {one.reason}"
        for one in answer.choices
    ]  # fmt: skip
    print_table({name: value for name, value in values.items() if value != []})
