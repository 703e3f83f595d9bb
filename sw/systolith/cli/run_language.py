"""``systolith run MODEL``: a language model goes on with a prompt."""

import dataclasses
import enum
import sys
import time
import typing

import typer

from systolith_hw.config import ConfigError

from .console import needs, print_json, say, stages
from .model_command import model_name
from .options import Json

__all__ = ["run_language"]


class Backend(enum.StrEnum):
    """Who computes the tokens."""

    RTL = "rtl"
    MACHINE = "machine"
    FLOAT = "float"


def run_language(
    ctx: typer.Context,
    prompt: typing.Annotated[str, typer.Argument(help="The text to go on with.")],
    tokens: typing.Annotated[
        int, typer.Option(help="Most tokens to generate.", min=1)
    ] = 64,
    temperature: typing.Annotated[
        float, typer.Option(help="0 takes the likeliest token always; 1 those that the model "
                            "finds as likely as it says.")
    ] = 0.0,
    top_k: typing.Annotated[
        int, typer.Option(help="With a temperature: choose among so many likely tokens, at most "
                          "64.")
    ] = 64,
    seed: typing.Annotated[
        int, typer.Option(help="With a temperature: another seed, another text.")
    ] = 0,
    backend: typing.Annotated[
        Backend,
        typer.Option(help="float: float32 without any hardware. The generated Verilog and the "
                     "functional machine do not run language models yet."),
    ] = Backend.FLOAT,
    json: Json = False,
) -> None:  # fmt: skip
    """Go on with a prompt, token by token.

    MODEL is stories-260k, smollm2, glassllm-en, glassllm-pt, the path of a folder with a
    Llama-type checkpoint (config.json, model.safetensors, tokenizer.json), or that of a GGUF file.
    The text is written as it comes, and ends with the model's token for that, or where the context
    is full.
    """
    if backend != Backend.FLOAT:
        raise ConfigError(
            f"--backend {backend}: language models do not run there yet; give --backend float"
        )
    with needs("models"):
        from ..generation import FloatGenerator, Stop, continue_prompt
        from ..models.library import load_language_model
        from ..sampling import Sampling

        sampling = Sampling(temperature=temperature, top_k=top_k, seed=seed)
        name = model_name(ctx)
        with stages(f"reading {name}", plain=json) as progress:
            model = load_language_model(name, progress)
    numbers = model.prompt(prompt)
    show = (lambda piece: None) if json else _write
    show(prompt)
    begin = time.perf_counter()
    result = continue_prompt(model, FloatGenerator(model.decoder, sampling), numbers, tokens, show)
    seconds = time.perf_counter() - begin
    show("\n")
    if result.stopped == Stop.CONTEXT:
        say(f"the context of {model.decoder.context} tokens is full")
    rate = len(result.tokens) / seconds
    if json:
        print_json({
            "model": model.name, "backend": str(backend), "prompt": prompt,
            **dataclasses.asdict(result), "prompt_tokens": len(numbers),
            **dataclasses.asdict(sampling), "seconds": round(seconds, 3),
            "tokens_per_second": rate,
        })  # fmt: skip
    else:
        say(f"{len(result.tokens)} tokens, {rate:.1f} per second of this computer in float")


def _write(piece: str) -> None:
    """Write text at once, as it is."""
    sys.stdout.write(piece)
    sys.stdout.flush()
