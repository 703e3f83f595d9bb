"""Compute a token of a language model on the simulated hardware, and measure it by its counters."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from systolith_hw.config import Config, ConfigError
from systolith_sim.device.activity import Activity
from systolith_sim.device.verilated import VerilatedDevice
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import KeyValueCache

from .compiler.decoder_plan import DecoderPlan
from .device_language import DeviceDecoder
from .language import CompiledDecoder, MachineDecoder
from .last_words import LastWords, Pair
from .progress import Progress
from .report.waits import array_waits
from .token_timing import token_in_text, tokens_before
from .watched_device import WatchedDevice
from .workload import FREQUENCY, open_device

__all__ = ["WORD", "DecodeMeasurement", "bench_decode", "require_position"]

WORD = 4

BIN_CYCLES = 1 << 20
"""Of what is counted while a device runs; only what each instruction of the array takes is used."""

SLOWNESS = 4
"""At most so many cycles for each that the multipliers need, for who waits."""


@dataclass(frozen=True, kw_only=True)
class DecodeMeasurement:
    """A token on the hardware, all operands of which are on the chip.

    What needs the hardware's time is None without it.

    Parameters
    ----------
    position : int
        Tokens in front of it, to all of which it attends, besides itself.
    macs : int
        Useful multiplications, of matrices, attention and logits.
    cycles_per_token : int
        Of a run of three tokens, the last of which is at this position, less those of a run of the
        first two (at position 1, of two and of the first): what a token takes in a text that the
        core makes by itself. Its number is read, its embedding loaded, and the next token's number
        stored meanwhile.
    estimated_cycles : int
        The same by the times of the program's instructions, as ``systolith estimate`` tells them.
    utilization : float
        ``macs`` over what all multipliers could do in these cycles.
    bytes_per_token : int
        Bytes that must move: the token's row of the embedding, and the position's of angles if
        there are any.
    bandwidth_utilization : float
        These over what the port could move in these cycles.
    first_cycles : int
        Of a run of this token alone, from the start write to the done flag.
    bit_exact : bool
        Whether the tokens of these runs, and every bit of the words of which the last token was
        made (:mod:`systolith.last_words`), are the machine's, and the golden model's.
    array_cycles : dict
        Of the token's cycles, those in which the array was at work ("busy"), and those in which it
        waited, by what it waited for (:mod:`systolith.report.waits`). None where nobody looks.
    counters : dict
        What each of the hardware's, or the machine's, counters has more for the tokens than without
        the last one.
    """

    position: int
    port_bytes: int
    macs: int
    cycles_per_token: int | None
    estimated_cycles: int
    utilization: float | None
    bytes_per_token: int
    bandwidth_utilization: float | None
    tokens_per_second_at_100mhz: float | None
    first_cycles: int | None
    bit_exact: bool
    array_cycles: dict[str, int] | None
    counters: dict[str, int]


@dataclass(frozen=True)
class Outcome:
    """Tokens and counters of three runs: of tokens before, of these and this one, of this one; and
    what was seen of the array before the first two and behind each, if anybody looks."""

    tokens: list[list[int]]
    counters: list[dict[str, int]]
    seen: list[Activity]

    @property
    def more(self) -> dict[str, int]:
        """What this token counted more than those before."""
        before, both, _ = self.counters
        return {name: both[name] - before[name] for name in both}

    def array_cycles(self, program: bytes) -> dict[str, int] | None:
        """Return what the array did more with this token than for those before."""
        if not self.seen:
            return None
        before, both = (array_waits(program, *pair) for pair in itertools.pairwise(self.seen))
        return {name: count - before.get(name, 0) for name, count in both.items()}


class Runner(Protocol):
    """A language model on a device or on the machine."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Of the last run."""
        ...

    def run(self, prompt: list[int], count: int, first: int = 0) -> list[int]:
        """Return the tokens of one run."""
        ...


def bench_decode(
    model: DecoderModel, config: Config, position: int, *, context: int | None = None,
    backend: str = "rtl", simulator: str = "verilator", seed: int = 0,
    progress: Progress | None = None,
) -> DecodeMeasurement:  # fmt: skip
    """Compute tokens behind ``position`` random ones, and measure.

    Those are computed before, and are not measured.

    Raises
    ------
    ConfigError
        If the model does not fit the chip, or has no such position.
    """
    progress = progress or Progress()
    words = LastWords(CompiledDecoder.compile(config, model, context=context))
    compiled, array = words.decoder, config.array
    plan = compiled.plan
    require_position(plan, position)
    text = np.random.default_rng(seed).integers(0, plan.shape.vocabulary, position).tolist()
    progress("computing the golden model")
    before = tokens_before(position)
    golden, golden_words = _golden(model, text[: position - before + 1], before)
    progress("running the functional machine")
    machine = MachineDecoder(compiled)
    predicted = outcome = _measure(machine, text)
    found = [golden_words, words.of_machine(machine)]
    macs = plan.shape.macs(position)
    if backend == "rtl":
        bins = {"activity": BIN_CYCLES} if simulator == "verilator" else {}
        with open_device(config, compiled.size, simulator, progress, **bins) as device:
            progress(f"running {position + 5} tokens in {simulator}")
            total = SLOWNESS * (position + 5) * macs / (array.rows * array.columns)
            watched = WatchedDevice(device, progress, total)
            runner = DeviceDecoder(compiled, watched)
            look = partial(_look, device) if isinstance(device, VerilatedDevice) else None
            outcome = _measure(runner, text, look)
            found.append(words.of_device(watched))
    more = outcome.more
    cycles = more.get("CYCLES")
    shape = plan.shape
    needed = WORD * (shape.features + 2 * shape.head * shape.rotary)
    return DecodeMeasurement(
        position=position, port_bytes=config.bus.data_bytes, macs=macs,
        utilization=cycles and macs / (cycles * array.rows * array.columns),
        cycles_per_token=cycles, bytes_per_token=needed,
        estimated_cycles=token_in_text(compiled, position).cycles,
        bandwidth_utilization=cycles and needed / (cycles * config.bus.data_bytes),
        tokens_per_second_at_100mhz=cycles and FREQUENCY / cycles,
        first_cycles=outcome.counters[2].get("CYCLES"), counters=more,
        array_cycles=outcome.array_cycles(compiled.parts[compiled.program]),
        bit_exact=outcome.tokens == predicted.tokens == golden and _equal(found),
    )  # fmt: skip


def require_position(plan: DecoderPlan, position: int) -> None:
    """Refuse a position with no token in front, or no room for it and another one behind.

    Raises
    ------
    ConfigError
    """
    if not 1 <= position <= plan.tokens - 2:
        raise ConfigError(
            f"the position must be 1 to {plan.tokens - 2}, since there is room for {plan.tokens} "
            f"tokens, not {position}"
        )


def _look(device: VerilatedDevice) -> Activity:
    return device.activity


def _measure(
    runner: Runner, text: list[int], look: Callable[[], Activity] | None = None
) -> Outcome:
    """Run a text of as many tokens as the position says, and those behind it."""
    before = tokens_before(len(text))
    first = len(text) - before
    if first:
        runner.run(text[:first], 1)
    tokens, counters = [], []
    seen = [look()] if look else []
    for count in (before, before + 1):
        tokens.append(runner.run(text[: first + 1], count, first))
        counters.append(dict(runner.counters))
        seen += [look()] if look else []
    tokens.append(runner.run([*text[: first + 1], *tokens[0]], 1, len(text)))
    return Outcome(tokens, [*counters, dict(runner.counters)], seen)


def _golden(
    model: DecoderModel, text: list[int], before: int
) -> tuple[list[list[int]], Pair]:
    """Return the tokens of the three runs, and the words of which the last was made."""
    cache, made, tokens = KeyValueCache(len(model.layers)), [], text
    for _ in range(before + 1):
        words = model.last_words(tokens, cache)
        tokens = [int(model.head(words)[-1].argmax())]
        made += tokens
    return [made[:-1], made, made[-1:]], (words.mantissas[-1], words.exponents[-1])


def _equal(found: list[Pair]) -> bool:
    """Return whether words are the same wherever they were found."""
    first, *others = found
    return all(np.array_equal(a, b) for pair in others for a, b in zip(first, pair, strict=True))
