"""``systolith estimate``: how long a model takes on a core, without any hardware."""

import dataclasses
import typing
from pathlib import Path

import typer

from systolith_hw.config import Config, ConfigError
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

    from ..estimate.estimate import Choice, Estimate
    from ..progress import Progress

__all__ = ["estimate_model"]

OWN = "of the file"
"""In place of a preset: a compiled model is for one core."""

ENCODER = "minilm"
COMPILED, GRAPH = ".sysl", ".onnx"
TOKENS, POSITION = 32, 64

ENCODERS_ONLY = ("tokens", "inputs")
LANGUAGE_ONLY = ("position", "context", "operands", "weights")


class Answer(typing.NamedTuple):
    """The preset, what it makes of the model, and what others do."""

    preset: str
    estimate: "Estimate"
    choices: "list[Choice]"


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
    from ..workload import CLOCK_MHZ

    clock, place = clock_mhz or CLOCK_MHZ, (preset, settings, port_bytes)
    choose_config(preset or "ulx3s", settings, port_bytes=port_bytes)  # refuses at once
    token = Token(position, context, operands, str(weights))
    encoder = model == ENCODER or model.endswith((COMPILED, GRAPH))
    if model == ENCODER or not encoder:
        refuse_beside(ctx, model, *(LANGUAGE_ONLY if encoder else ENCODERS_ONLY))
    with needs("models"), stages(f"reading {model}", plain=json) as progress:
        if model == ENCODER:
            refuse_beside(ctx, model, "inputs")
            answer = _minilm(tokens or TOKENS, clock, place, progress)
        elif model.endswith(COMPILED):
            refuse_beside(ctx, model, "inputs", "preset", "settings", "port_bytes")
            answer = _compiled(model, tokens, position, clock)
        elif model.endswith(GRAPH):
            refuse_beside(ctx, model, "tokens")
            answer = _graph(model, inputs, token, clock, place, progress)
        else:
            from ..models.library import load_language_model

            floats = load_language_model(model, progress).decoder
            answer = _language(model, floats, token, clock, place, progress)
    _show(model, answer, json)


class Token(typing.NamedTuple):
    """Which token of a language model, in which text, and how the model is kept."""

    position: int
    context: int | None
    operands: Operands | None
    weights: str


Place = tuple[str | None, list[str] | None, int | None]
"""Preset, settings and bytes of the port, as far as they were given."""


def _presets(place: Place) -> dict[str, Config]:
    """Return all presets with the settings, as far as they allow those."""
    _, settings, port_bytes = place
    configs = {}
    for name in PRESETS:
        try:
            configs[name] = choose_config(name, settings, port_bytes=port_bytes)
        except ConfigError:
            continue  # a setting that this preset cannot have
    return configs


def _answer(
    place: Place, default: str, estimate: "typing.Callable[[Config], Estimate]",
    progress: "Progress",
) -> Answer:  # fmt: skip
    """Return the estimate on the core that is asked for, and those on the presets."""
    from ..estimate.choices import suitable

    preset, settings, port_bytes = place
    name = preset or default
    progress(f"estimating on {name}")
    result = estimate(choose_config(name, settings, port_bytes=port_bytes))
    progress("estimating on other presets")
    return Answer(name, result, suitable(_presets(place), estimate))


def _minilm(tokens: int, clock: float, place: Place, progress: "Progress") -> Answer:
    from ..estimate.encoder import MINILM, EncoderSizes, estimate_encoders

    sizes = EncoderSizes(shape=MINILM, lengths=[tokens])
    return _answer(
        place, STREAMED, lambda config: estimate_encoders(config, [sizes], clock), progress
    )


def _compiled(model: str, tokens: int | None, position: int, clock: float) -> Answer:
    from ..estimate.encoder import estimate_stacks
    from ..estimate.language import estimate_decoder
    from ..model_program import load_program

    program = load_program(model)
    if program.language:
        return Answer(OWN, estimate_decoder(program.language.text, position, clock), [])
    if not program.stacks:
        raise ConfigError(f"nothing of {model} is for the core; systolith inspect says why")
    lengths = None if tokens is None else [tokens]
    return Answer(OWN, estimate_stacks(program.config, program.stacks, lengths, clock), [])


def _graph(
    model: str, inputs: Path | None, token: Token, clock: float, place: Place,
    progress: "Progress",
) -> Answer:  # fmt: skip
    from ..estimate.graph import estimate_graph
    from ..graph.decoder_part import find_decoder, float_decoder
    from ..model_compiler import cut_model

    preset, settings, port_bytes = place
    example = None if inputs is None else read_inputs(inputs)
    config = choose_config(preset or STREAMED, settings, port_bytes=port_bytes)
    first = cut_model(model, example, config, progress)
    if part := find_decoder(first.graph):
        floats = float_decoder(first.graph, part, config.array.max_k)
        return _language(model, floats, token, clock, place, progress)

    def estimate(core: Config) -> "Estimate":
        cut = first if core == config else cut_model(first.graph, first.example, core)
        return estimate_graph(core, cut, clock)

    return _answer(place, STREAMED, estimate, progress)


def _language(
    name: str, floats: "FloatDecoder", token: Token, clock: float, place: Place,
    progress: "Progress",
) -> Answer:  # fmt: skip
    from ..compiler.blank_decoder import blank_decoder
    from ..estimate.language import estimate_language

    preset, settings, port_bytes = place
    core = choose_core(name, floats, token.operands, preset, settings, port_bytes)

    def estimate(config: Config) -> "Estimate":
        operands = token.operands or operands_by_size(floats, config)
        own = dataclasses.replace(core, config=config, operands=operands)
        blank = blank_decoder(config, floats, token.weights, streamed=own.streamed)
        return estimate_language(
            reach(own, blank, settings, context=token.context), blank, token.position, clock,
            context=token.context, streamed=own.streamed,
        )  # fmt: skip

    return _answer(place, core.preset, estimate, progress)


def _show(model: str, answer: Answer, json: bool) -> None:
    """Print JSON, or a table."""
    values = {"model": model, "preset": answer.preset, **answer.estimate.to_dict()}
    if json:
        choices = [dataclasses.asdict(choice) for choice in answer.choices]
        print_json({**values, "presets": choices})
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
