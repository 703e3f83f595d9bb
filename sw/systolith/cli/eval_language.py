"""``systolith eval MODEL``: how much a language model loses to its integers."""

import dataclasses
import enum
import time
import typing

import typer

from .console import needs, print_json, print_table, say, stages
from .model_command import model_name
from .operands import RESIDENT, LanguageOperands, LanguagePreset, choose_core, reach
from .options import Json, Settings, Weights, WeightsName, choose_config, require_backend

__all__ = ["eval_language"]


class Data(enum.StrEnum):
    """What to predict; as in ``evaluate.passages``, which is heavy to import."""

    HELDOUT = "heldout"
    BROWN = "brown"


class Backend(enum.StrEnum):
    """Who computes logits."""

    FLOAT = "float"
    GOLDEN = "golden"
    MACHINE = "machine"


INTEGERS = (Backend.GOLDEN, Backend.MACHINE)
"""Those whose numbers are a core's."""


def eval_language(
    ctx: typer.Context,
    data: typing.Annotated[
        Data,
        typer.Option(help="heldout: 411 stories on which no model of stories was trained; brown: "
                     "English of all kinds, the first 512 tokens of documents of all genres."),
    ] = Data.HELDOUT,
    tokens: typing.Annotated[
        int | None,
        typer.Option(help="Predict at least so many tokens; by default all of heldout, 8192 of "
                     "brown.", min=1),
    ] = None,
    limit: typing.Annotated[
        int | None, typer.Option(help="Predict at most so many documents.", min=1)
    ] = None,
    cut: typing.Annotated[
        int | None,
        typer.Option(help="Predict only the first so many tokens of each passage less one; by "
                     "default, with --backend machine, those that the chip has room for.", min=2),
    ] = None,
    backend: typing.Annotated[
        Backend,
        typer.Option(help="float: float32; golden: the golden models, which have every bit of the "
                     "hardware; machine: programs on the functional machine, slow."),
    ] = Backend.GOLDEN,
    weights: WeightsName = Weights.INT8,
    operands: LanguageOperands = None,
    preset: LanguagePreset = None,
    settings: Settings = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Compare a language model's losses with float32's, token by token.

    MODEL is as for systolith run. The text was never seen by whoever chose the integers; the
    standard error is that of the mean difference, in which a document counts as a whole.
    """
    acts = ("weights", "operands", "preset", "settings")
    require_backend(ctx, backend, dict.fromkeys(acts, INTEGERS))
    choose_config(preset or RESIDENT, settings)  # refuses at once
    with needs("models"):
        from ..evaluate.losses import Predictor, compare_losses
        from ..evaluate.passages import Text, first_documents, passages, shorten
        from ..language import CompiledDecoder, MachineDecoder
        from ..models.library import load_language_model
        from ..models.quantized_language import quantize_language

        name = model_name(ctx)
        with stages(f"reading {name}", plain=json) as progress:
            model = load_language_model(name, progress)
            progress("reading the text")
            whole = passages(model, Text(data), tokens, progress)
            if limit:
                whole = first_documents(whole, limit)
            predictor: Predictor = model.decoder
            core = None
            if backend != Backend.FLOAT:
                core = choose_core(name, model.decoder, operands, preset, settings)
                predictor = integers = quantize_language(
                    model, core.config, str(weights), progress, streamed=core.streamed
                )
            if core and backend == Backend.MACHINE:
                progress(f"compiling {model.name}")
                decoder = CompiledDecoder.compile(
                    reach(core, integers, settings, logits=True), integers, logits=True,
                    streamed=core.streamed,
                )
                cut = min(cut or decoder.plan.tokens, decoder.plan.tokens)
                predictor = MachineDecoder(decoder)
            chosen = shorten(whole, cut) if cut else whole
            progress("predicting")
            begin = time.perf_counter()
            result = compare_losses(model.decoder, predictor, chosen, progress)
            seconds = time.perf_counter() - begin
    lost = sum(len(passage.tokens) for passage in whole) - sum(
        len(passage.tokens) for passage in chosen
    )
    if lost:
        say(f"passages were cut to {cut} tokens: {lost:,} tokens are not predicted")
    values = {
        "model": model.name, "data": str(data), "backend": str(backend),
        "weights": "float32" if core is None else str(weights),
        **(core.place if core else {}),
        **dataclasses.asdict(result), "tokens_cut": lost, "seconds": round(seconds, 1),
    }  # fmt: skip
    if json:
        print_json(values)
    else:
        print_table(values)
