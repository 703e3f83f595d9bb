"""``systolith run MODEL``: a language model goes on with a prompt."""

import dataclasses
import enum
import sys
import time
import typing
from functools import partial
from pathlib import Path

import typer

from systolith_hw.config import ConfigError
from systolith_hw.presets import PRESETS

from ..progress import Progress
from .console import needs, print_json, say, stages
from .model_command import model_name
from .operands import RESIDENT, STREAMED, choose_core, reach
from .options import (
    ClockMhz,
    Json,
    Operands,
    PortBytes,
    Settings,
    Simulator,
    SimulatorName,
    Weights,
    WeightsName,
    choose_config,
)

__all__ = ["run_language"]


class Computer(enum.StrEnum):
    """Who runs a language model."""

    RTL = "rtl"
    MACHINE = "machine"
    GOLDEN = "golden"
    FLOAT = "float"


HARDWARE = (Computer.RTL, Computer.MACHINE)
"""Those who are given a compiled model."""

INTEGERS = (*HARDWARE, Computer.GOLDEN)
"""Those whose numbers are a core's."""


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
        Computer,
        typer.Option(help="rtl: the generated Verilog, compared with the functional machine; "
                     "machine: that alone; golden: the integer model, of which both have every "
                     "bit; float: float32."),
    ] = Computer.FLOAT,
    weights: WeightsName = Weights.INT8,
    operands: typing.Annotated[
        Operands | None,
        typer.Option(help="onchip: all of the model is on the chip; stream: weights, keys and "
                     "values are in external memory. By default as the model's size wants it."),
    ] = None,
    logits: typing.Annotated[
        Path | None,
        typer.Option(help="Write the logits of all positions, in nats, to an .npz file.",
                     dir_okay=False),
    ] = None,
    preset: typing.Annotated[
        str | None,
        typer.Option("--preset", "-p", help=f"One of {', '.join(PRESETS)}; by default {RESIDENT} "
                     f"for a model on the chip, and {STREAMED} for one that is streamed."),
    ] = None,
    settings: Settings = None,
    port_bytes: PortBytes = None,
    sim: SimulatorName = Simulator.VERILATOR,
    clock_mhz: ClockMhz = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Go on with a prompt, token by token.

    MODEL is stories-260k, smollm2, glassllm-en, glassllm-pt, the path of a folder with a
    Llama-type checkpoint (config.json, model.safetensors, tokenizer.json), or that of a GGUF file.
    The text is written as it comes, and ends with the model's token for that, or where the context
    is full.
    """
    config = choose_config(preset or RESIDENT, settings, port_bytes=port_bytes)
    if backend == Computer.FLOAT and weights != Weights.INT8:
        raise ConfigError(
            f"--weights {weights} takes --backend rtl, machine or golden, since float computes in "
            "float32"
        )
    if logits is not None and not logits.parent.is_dir():
        raise ConfigError(f"--logits {logits}: there is no folder {logits.parent}")
    with needs("models"):
        import numpy as np

        from ..generation import ModelGenerator, Stop, continue_prompt
        from ..language_run import LanguageRun
        from ..models.library import load_language_model
        from ..models.quantized_language import quantize_language
        from ..sampling import Sampling
        from ..workload import CLOCK_MHZ

        clock = clock_mhz or CLOCK_MHZ
        sampling = Sampling(temperature=temperature, top_k=top_k, seed=seed)
        name = model_name(ctx)
        with stages(f"reading {name}", plain=json) as progress:
            model = load_language_model(name, progress)
            numbers = model.prompt(prompt)
            hardware = None
            if backend in INTEGERS:
                operands, preset, config = choose_core(
                    model, operands, preset, settings, port_bytes
                )
            streamed = operands == Operands.STREAM
            if backend in HARDWARE:
                hardware = LanguageRun(
                    model, config, progress, sampling, weights=str(weights),
                    logits=logits is not None, streamed=streamed,
                    reach=partial(reach, settings=settings) if streamed else None,
                )  # fmt: skip
                hardware.require_room(numbers)
            else:
                generator = ModelGenerator(
                    model.decoder if backend == Computer.FLOAT
                    else quantize_language(
                        model, config, str(weights), progress, streamed=streamed
                    ),
                    sampling, keep_logits=logits is not None,
                )  # fmt: skip
    show = (lambda piece: None) if json else _write
    show(prompt)
    begin = time.perf_counter()
    context, simulated = model.decoder.context, None
    if hardware is None:
        result = continue_prompt(model, generator, numbers, tokens, show)
    else:
        context = hardware.context
        if backend == Computer.RTL:
            result, simulated = hardware.simulate(
                numbers, tokens, show, simulator=str(sim), clock_mhz=clock,
                progress=Progress(),
            )  # fmt: skip
        else:
            result = hardware.predict(numbers, tokens, show)
    seconds = time.perf_counter() - begin
    show("\n")
    if result.stopped == Stop.CONTEXT:
        say(f"the context of {context} tokens is full")
    if logits is not None:
        found = [hardware.logits] if hardware else generator.logits
        np.savez_compressed(
            logits, logits=np.concatenate(found), tokens=[*numbers, *result.tokens]
        )
    rate = len(result.tokens) / seconds
    if json:
        print_json({
            "model": model.name, "backend": str(backend), "weights": str(weights),
            "prompt": prompt,
            **dataclasses.asdict(result), "prompt_tokens": len(numbers),
            **dataclasses.asdict(sampling), "seconds": round(seconds, 3),
            "tokens_per_second": rate,
            **({"operands": str(operands), "preset": preset, **dataclasses.asdict(simulated)}
               if simulated else {}),
        })  # fmt: skip
    elif simulated:
        say(f"{len(result.tokens)} tokens, {simulated.cycles:,} cycles: "
            f"{simulated.tokens_per_second:,.0f} tokens per second at {clock:g} MHz, "
            + ("every one that of the machine" if simulated.bit_exact else "NOT the machine's")
        )  # fmt: skip
    else:
        say(f"{len(result.tokens)} tokens, {rate:.1f} per second of this computer on {backend}")
    if simulated and not simulated.bit_exact:
        raise typer.Exit(1)


def _write(piece: str) -> None:
    """Write text at once, as it is."""
    sys.stdout.write(piece)
    sys.stdout.flush()
