"""A RISC-V CPU that runs Systolith, in Verilator: a story, and a layer of MiniLM beside a C loop.

    python examples/soc/run.py [--cpu sentinel|vexriscv] [--only story|layer] [--json]

Needs g++, and Debian's gcc-riscv64-unknown-elf for the CPU's program.
"""

import argparse
import json
import sys
import time
from typing import Any

import firmware
from layer_work import layer_work
from story_work import story_work
from system import Settings
from systolith.bench_layer import LayerCase
from systolith.language import MachineDecoder
from systolith.language_run import LanguageRun
from systolith.models.errors import FetchError
from systolith.models.library import load_language_model
from systolith.models.minilm import MiniLM
from systolith.progress import Progress
from systolith_fpga.soc.cpu import CPUS, cpu_named
from systolith_hw.config import Config, ConfigError
from systolith_hw.presets import preset
from systolith_sim.verilator import ToolError

__all__ = ["layer", "main", "story"]

PROMPT = "Once upon a time"
COPIED = 8192
"""Bytes of a part of an image that the CPU brings to memory; larger ones are there already."""
CYCLES_PER_BYTE = 200
"""The most that the slowest CPU takes to check and copy one."""


class Teller(Progress):
    """Says on standard error what is being done."""

    def __call__(self, stage: str) -> None:
        """Begin with the next stage."""
        print(stage, file=sys.stderr)


def story(
    settings: Settings, *, prompt: str = PROMPT, tokens: int = 24, latency: int = 1,
    whole: bool = False, progress: Progress | None = None, quiet: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Let stories-260k, which lies on the chip whole, go on with a prompt; return what was seen.

    With ``whole`` the CPU checks and copies all of the image, and not only its small parts.
    """
    progress = progress or Progress()
    model = load_language_model("stories-260k")
    config = preset("ulx3s-resident")
    run = LanguageRun(model, config, progress)
    numbers = model.prompt(prompt)
    run.require_room(numbers)
    work = story_work(
        run.decoder, numbers, tokens, name=model.name, tokenizer=model.tokenizer,
        largest=1 << 30 if whole else COPIED,
    )  # fmt: skip
    simulation = work.simulation(settings, latency=latency, report=progress)
    progress(f"making {tokens} tokens on {settings.cpu}")
    size = sum(bytes_ for _, bytes_ in work.job.images)
    begin = time.perf_counter()

    def show(text: str) -> None:
        print(text, end="", flush=True)

    limit = CYCLES_PER_BYTE * size + 10_000 * (tokens + len(numbers)) + 2_000_000
    text = simulation.run(limit, None if quiet else show)
    seconds = time.perf_counter() - begin
    said, _, rest = text.partition("\ntokens = ")
    expected = model.tokenizer.decode([*numbers, *_made(run, numbers, tokens)])
    values = dict(line.split(" = ") for line in rest.splitlines()[1:] if " = " in line)
    return {
        "preset": "ulx3s-resident", "prompt": prompt, "story": said,
        "equals_machine": prompt + said == expected, "image_bytes": size,
        "cpu_cycles": int(values["cycles of the cpu"]),
        "core_cycles": int(values["cycles of the core"]), "all_cycles": simulation.cycle,
        "simulated_per_second": simulation.cycle / seconds,
    }  # fmt: skip


def _made(run: LanguageRun, numbers: list[int], tokens: int) -> list[int]:
    return MachineDecoder(run.decoder).run(numbers, tokens)


def layer(
    config: Config, settings: Settings, tokens: int, *, latency: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run MiniLM's first layer for random tokens on the core, and compare with the CPU's C loop."""
    progress = progress or Progress()
    case = LayerCase.prepare(MiniLM.fetch(progress), config, tokens, progress=progress)
    prepared = layer_work(case)
    simulation = prepared.work.simulation(settings, latency=latency, report=progress)
    progress(f"a layer of {tokens} tokens on {settings.cpu}")
    begin = time.perf_counter()
    text = simulation.run(60_000_000)
    run = prepared.read(simulation.memory, text, time.perf_counter() - begin)
    measured = case.measure(run.outcome, case.work.predict(progress))
    scaled = run.loop_cycles * measured.macs / prepared.macs
    assert measured.cycles is not None
    return {
        "model": "minilm", "tokens": tokens, "port_bytes": config.bus.data_bytes,
        "macs": measured.macs, "core_cycles": measured.cycles, "cpu_cycles": run.cpu_cycles,
        "interrupts": run.interrupts,
        "roofline_cycles": measured.roofline_cycles,
        "roofline_utilization": measured.roofline_cycles / run.cpu_cycles,
        "bit_exact": measured.bit_exact, "cosine": measured.cosine,
        "loop": {
            "cpu": cpu_named(settings.cpu).title, "march": cpu_named(settings.cpu).march,
            "optimize": settings.optimize,
            "macs": prepared.macs, "fraction_of_layer": prepared.macs / measured.macs,
            "cycles": run.loop_cycles, "cycles_per_mac": run.loop_cycles / prepared.macs,
            "scaled_to_layer": scaled,
            "left_out": "exponents, rounding, softmax, norms, activation",
        },
        "times_faster": scaled / run.cpu_cycles, "all_cycles": simulation.cycle,
        "counters": measured.counters,
    }  # fmt: skip


def main(arguments: argparse.Namespace) -> dict[str, Any]:
    """Do what the command line says; return what is printed as JSON."""
    settings = Settings(cpu=arguments.cpu, optimize=arguments.optimize)
    progress = Teller()
    result: dict[str, Any] = {"cpu": cpu_named(arguments.cpu).title, "latency": arguments.latency}
    if arguments.only != "layer":
        result["story"] = story(
            settings, prompt=arguments.prompt, tokens=arguments.story_tokens,
            latency=arguments.latency, whole=arguments.whole_image, progress=progress,
            quiet=arguments.json,
        )  # fmt: skip
    if arguments.only != "story":
        config = preset(arguments.preset)
        if arguments.port_bytes:
            config = config.with_port(arguments.port_bytes)
        result["layers"] = [
            layer(config, settings, tokens, latency=arguments.latency, progress=progress)
            for tokens in arguments.tokens
        ]
    return result


def tell(result: dict[str, Any]) -> None:
    """Print what matters."""
    if told := result.get("story"):
        print(f"tokens equal to the functional machine's: {told['equals_machine']}")
    for row in result.get("layers", []):
        loop = row["loop"]
        print(
            f"a layer of MiniLM for {row['tokens']} tokens, {row['port_bytes']} bytes a cycle: "
            f"{row['cpu_cycles']:,} cycles as the CPU sees them, "
            f"{row['roofline_utilization']:.1%} of the roofline; bit for bit: {row['bit_exact']}\n"
            f"the C loop on {loop['cpu']}: {loop['cycles_per_mac']:.1f} cycles for each of "
            f"{loop['macs']:,} products; for all {row['macs']:,} of the layer that would be "
            f"{loop['scaled_to_layer']:,.0f} cycles (scaled), {row['times_faster']:,.0f} times as "
            f"many; without {loop['left_out']}"
        )


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description="A RISC-V CPU that runs Systolith, in Verilator.")
    parser.add_argument("--cpu", default="sentinel", choices=sorted(CPUS))
    parser.add_argument("--only", choices=["story", "layer"], help="else both")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--story-tokens", type=int, default=24)
    parser.add_argument(
        "--whole-image", action="store_true", help="the CPU copies weights and tables, too: minutes"
    )
    parser.add_argument("--preset", default="ulx3s", help="of the layer's core")
    parser.add_argument("--port-bytes", type=int, help="of the layer's core and memory")
    parser.add_argument("--tokens", type=int, nargs="+", default=[16, 128], help="of the layer")
    parser.add_argument("--optimize", default="-O2", help="of the CPU's program: --optimize=-O3")
    parser.add_argument("--latency", type=int, default=1, help="cycles until memory answers")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(words)


if __name__ == "__main__":
    options = parse()
    if firmware.missing():
        sys.exit(firmware.missing())
    try:
        outcome = main(options)
    except (ConfigError, FetchError, ToolError, ValueError) as error:  # what is asked for
        sys.exit(str(error))
    if options.json:
        print(json.dumps(outcome, indent=2))
    else:
        tell(outcome)
