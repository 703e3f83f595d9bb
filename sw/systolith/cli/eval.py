"""``systolith eval``: how well quantised models do what they are for."""

import dataclasses
import enum
import time
import typing

import typer

from .console import needs, print_json, print_table, stages
from .eval_language import eval_language
from .model_command import MODEL, ModelCommands
from .options import Json, PresetName, Settings, choose_config, require_backend

__all__ = ["evaluate"]

evaluate = typer.Typer(
    cls=ModelCommands, help="Evaluate quantised models on real data.", no_args_is_help=True
)
evaluate.command(MODEL)(eval_language)


class Data(enum.StrEnum):
    """What to evaluate on; as in ``evaluate.evaluation``, which is heavy to import."""

    SENTENCES = "sentences"
    LEE50 = "lee50"
    SPAM = "spam"


class Backend(enum.StrEnum):
    """Who computes embeddings."""

    MACHINE = "machine"
    GOLDEN = "golden"
    FLOAT = "float"


INTEGERS = (Backend.MACHINE, Backend.GOLDEN)
"""Those whose numbers are a core's."""

ACTS = {"preset": INTEGERS, "settings": INTEGERS, "jobs": (Backend.GOLDEN,)}
"""With whom options do something; others act with everybody."""


@evaluate.callback()
def _group() -> None:
    """Evaluate quantised models on real data."""


@evaluate.command()
def minilm(
    ctx: typer.Context,
    data: typing.Annotated[
        Data,
        typer.Option(help="sentences: closeness to float32 on 24 sentences from the news; lee50: "
                     "also correlation with people's judgement of 50 documents; spam: also "
                     "accuracy of a linear head on e-mails."),
    ] = Data.SENTENCES,
    backend: typing.Annotated[
        Backend,
        typer.Option(help="The functional machine; the golden models, which give the same bits "
                     "sooner; or float32."),
    ] = Backend.MACHINE,
    limit: typing.Annotated[
        int | None,
        typer.Option(help="Use so many texts, evenly from all; by default 24 sentences, all of "
                     "lee50, 1000 e-mails.", min=2),
    ] = None,
    tokens: typing.Annotated[
        int | None, typer.Option(help="Most tokens of a text; by default 256.", min=3)
    ] = None,
    truncate: typing.Annotated[
        bool, typer.Option("--truncate", help="Use the beginning of texts that are too long.")
    ] = False,
    jobs: typing.Annotated[
        int, typer.Option(help="Processes that share the texts, of the golden models.", min=1)
    ] = 1,
    preset: PresetName = "ulx3s",
    settings: Settings = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Compare MiniLM's integers with float32 on texts that nothing was tuned on.

    The weights are rounded with the help of random tokens alone. Nothing is cut unless you say
    --truncate; it is told how many texts were.
    """
    require_backend(ctx, backend, ACTS)
    config = choose_config(preset, settings)
    with needs("models"):
        from ..evaluate import embedders, evaluation
        from ..models.minilm import MAX_TOKENS, MiniLM

    with stages("fetching MiniLM", plain=json) as progress:
        model = MiniLM.fetch(progress)
        embedder: embedders.Embedder = {
            Backend.MACHINE: lambda: embedders.MachineEmbedder(model, config),
            Backend.GOLDEN: lambda: embedders.GoldenEmbedder(model, config, jobs=jobs),
            Backend.FLOAT: lambda: embedders.FloatEmbedder(model),
        }[backend]()
        progress("fetching texts")
        chosen = evaluation.Data(data)
        task = evaluation.load_task(chosen, limit, progress)
        begin = time.perf_counter()
        result = evaluation.evaluate(
            model, chosen, task, embedder, limit=tokens or MAX_TOKENS, truncate=truncate,
            progress=progress,
        )  # fmt: skip
        seconds = time.perf_counter() - begin
    values = {
        **dataclasses.asdict(result), "backend": str(backend), "preset": preset,
        "vector_rows": config.vector.rows, "seconds": round(seconds, 1),
    }  # fmt: skip
    values = {name: value for name, value in values.items() if value is not None}
    if json:
        print_json(values)
    else:
        print_table(values)
