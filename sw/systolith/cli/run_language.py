"""``systolith run MODEL``: a language model goes on with a prompt."""

import contextlib
import dataclasses
import enum
import sys
import time
import typing
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import typer

from systolith_hw.config import ConfigError

from ..progress import Progress
from .console import needs, print_json, say, stages
from .model_command import model_name
from .operands import (
    RESIDENT,
    STREAMED,
    Context,
    LanguageOperands,
    LanguagePreset,
    choose_core,
    choose_product_core,
    reach,
)
from .options import (
    ClockMhz,
    Json,
    PortBytes,
    PortName,
    Settings,
    Simulator,
    SimulatorName,
    Weights,
    WeightsName,
    bus_of,
    choose_config,
    choose_device,
    preset_on,
    refuse_beside,
    require_backend,
)

if typing.TYPE_CHECKING:
    from ..coprocessor.hosted_run import Hosted
    from ..language_run import Simulated

__all__ = ["run_language"]

STREAMED_PORT = 128
"""Bytes per cycle of a streamed model's port, unless they are given: simulation is slow."""


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

ACTS = {
    "sim": (Computer.RTL,), "device": (Computer.RTL,), "clock_mhz": (Computer.RTL,),
    "port_bytes": HARDWARE, "weights": INTEGERS, "operands": INTEGERS, "preset": INTEGERS,
    "settings": INTEGERS,
}  # fmt: skip
"""With whom options do something; others act with everybody."""


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
    ] = Computer.RTL,
    weights: WeightsName = Weights.INT8,
    operands: LanguageOperands = None,
    context: Context = None,
    logits: typing.Annotated[
        Path | None,
        typer.Option(help="Write the logits of all positions, in nats, to an .npz file.",
                     dir_okay=False),
    ] = None,
    preset: LanguagePreset = None,
    settings: Settings = None,
    port_bytes: PortBytes = None,
    sim: SimulatorName = Simulator.VERILATOR,
    device: PortName = None,
    clock_mhz: ClockMhz = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Go on with a prompt, token by token.

    MODEL is stories-260k, smollm2, glassllm-en, glassllm-pt, the path of a folder with a
    Llama-type checkpoint (config.json, model.safetensors, tokenizer.json), or that of a GGUF file.
    The text is written as it comes, and ends with the model's token for that, or where the context
    is full. The port of a model that is streamed has 128 bytes per cycle, if --port-bytes does not
    say otherwise. A core without a row unit (vector.rows is 0) multiplies, and this computer does
    the rest.
    """
    require_backend(ctx, backend, ACTS)
    where = choose_device(ctx, device, sim)
    settings, port_bytes = bus_of(where, settings, port_bytes)
    preset = preset or preset_on(where, RESIDENT, STREAMED)
    if temperature == 0:
        refuse_beside(ctx, "--temperature 0", "top_k", "seed")
    chosen = choose_config(preset or RESIDENT, settings, port_bytes=port_bytes)  # refuses at once
    alone = bool(chosen.vector.rows)
    if logits is not None and not logits.parent.is_dir():
        raise ConfigError(f"--logits {logits}: there is no folder {logits.parent}")
    with needs("models"):
        import numpy as np

        from ..coprocessor.hosted_run import HostedRun
        from ..language_run import LanguageRun
        from ..model_run import ModelRun
        from ..models.library import load_language_model
        from ..sampling import Sampling

        sampling = Sampling(temperature=temperature, top_k=top_k, seed=seed)
        name, core = model_name(ctx), None
        hardware: LanguageRun | None = None
        hosted: HostedRun | None = None
        simulated: Simulated | Hosted | None = None
        keeps = logits is not None
        with stages(f"reading {name}", plain=json) as progress:
            model = load_language_model(name, progress)
            numbers = model.prompt(prompt)
            if backend == Computer.FLOAT:
                running = ModelRun(model, model.decoder, sampling, context=context, logits=keeps)
            elif not alone:
                core = choose_product_core(
                    name, operands, preset or RESIDENT, chosen, runs=backend in HARDWARE
                )
                running = host = HostedRun(
                    model, chosen, progress, sampling, weights=str(weights), context=context,
                    logits=keeps,
                )  # fmt: skip
                hosted = host if backend in HARDWARE else None
            else:
                core = choose_core(
                    name, model.decoder, operands, preset, settings, port_bytes,
                    streamed_port=STREAMED_PORT, by_chance=temperature > 0,
                )  # fmt: skip
                running = integers = LanguageRun(
                    model, core.config, progress, sampling, weights=str(weights), context=context,
                    logits=keeps, streamed=core.streamed,
                    reach=partial(
                        reach, core, settings=settings, context=context, logits=keeps
                    ),
                )  # fmt: skip
                hardware = integers if backend in HARDWARE else None
            running.require_room(numbers)
            if hardware:
                hardware.compile(progress)
    show = (lambda piece: None) if json else _write
    show(prompt)
    begin = time.perf_counter()
    with _line(show):
        if hosted:
            result, simulated = hosted.simulate(
                numbers, tokens, show, simulator=where if backend == Computer.RTL else str(backend),
                clock_mhz=clock_mhz, progress=Progress(),
            )  # fmt: skip
        elif hardware is None:
            result = running.compute(numbers, tokens, show)
        elif backend == Computer.MACHINE:
            result = hardware.predict(numbers, tokens, show)
        else:
            result, simulated = hardware.simulate(
                numbers, tokens, show, simulator=where, clock_mhz=clock_mhz,
                progress=Progress(),
            )  # fmt: skip
    seconds = time.perf_counter() - begin
    if result.stopped == "context":
        say(f"the context of {running.context} tokens is full")
    if logits is not None:
        with logits.open("wb") as file:
            np.savez_compressed(file, logits=running.logits, tokens=[*numbers, *result.tokens])
    rate = len(result.tokens) / seconds
    if json:
        print_json({
            "model": model.name, "backend": str(backend),
            "weights": "float32" if core is None else str(weights),
            **(core.place if core else {}), "context": running.context, "prompt": prompt,
            **dataclasses.asdict(result), "prompt_tokens": len(numbers),
            **dataclasses.asdict(sampling), "host_seconds": round(seconds, 3),
            "host_tokens_per_second": rate,
            **(dataclasses.asdict(simulated) if simulated else {}),
        })  # fmt: skip
    else:
        how = simulated or f"{rate:.1f} per second of this computer on {backend}"
        made = len(result.tokens)
        say(f"{made} token{'' if made == 1 else 's'}, {how}")
    if simulated and not simulated.bit_exact:
        raise typer.Exit(1)


@contextlib.contextmanager
def _line(show: Callable[[str], None]) -> Iterator[None]:
    """End the line of a text, whatever stops it."""
    try:
        yield
    finally:
        show("\n")


def _write(piece: str) -> None:
    """Write text at once, as it is."""
    sys.stdout.write(piece)
    sys.stdout.flush()
