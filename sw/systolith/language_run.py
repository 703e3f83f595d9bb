"""A language model goes on with a prompt on simulated hardware, or on the functional machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from systolith_hw.config import Config, ConfigError
from systolith_sim.transformer.decoder_model import DecoderModel

from .device_language import DeviceDecoder
from .generation import Continuation, Stop, continue_prompt
from .language import CompiledDecoder, Logits, MachineDecoder
from .models.language_model import LanguageModel
from .models.quantized_language import quantize_language
from .progress import Progress
from .sampling import GREEDY, Sampling
from .workload import open_device

__all__ = ["LanguageRun", "Simulated"]


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What only the hardware's time says of a text.

    Parameters
    ----------
    simulator : str
    bit_exact : bool
        Whether the tokens are those of the machine.
    cycles : int
        Of the whole text, from start write to done flag.
    clock_mhz : float
    tokens_per_second : float
        At that clock, those of the prompt among them.
    counters : dict
        All of the hardware's.
    prompt_block : int
        Most tokens of the prompt that went through the model together.
    """

    simulator: str
    bit_exact: bool
    cycles: int
    clock_mhz: float
    tokens_per_second: float
    counters: dict[str, int]
    prompt_block: int


class LanguageRun:
    """A language model, compiled for one configuration.

    Parameters
    ----------
    model : LanguageModel
    config : Config
    progress : Progress
    sampling : Sampling
        How tokens are chosen.
    weights : str
        Key of ``CODECS``.
    logits : bool
        Keep logits, too.
    streamed : bool
        Weights, keys and values are in external memory; otherwise all of it on the chip.
    reach : function, or None
        Given config and model, returns a config whose addresses reach far enough.

    Attributes
    ----------
    logits : array (positions, V)
        In nats, of all positions of the last text, if they are kept.

    Raises
    ------
    ConfigError
        If it does not fit the chip, or the core cannot choose tokens so.
    """

    def __init__(
        self, model: LanguageModel, config: Config, progress: Progress,
        sampling: Sampling = GREEDY, *, weights: str = "int8",
        logits: bool = False, streamed: bool = False,
        reach: Callable[[Config, DecoderModel], Config] | None = None,
    ) -> None:  # fmt: skip
        sampling.require(config)
        self.model = model
        self.sampling = sampling
        self.logits: Logits = np.zeros((0, len(model.decoder.embedding)))
        integers = quantize_language(model, config, weights, progress, streamed=streamed)
        self.config = reach(config, integers) if reach else config
        progress(f"compiling {model.name}")
        self.decoder = CompiledDecoder.compile(
            self.config, integers, ends=model.ends, logits=logits, streamed=streamed
        )

    @property
    def context(self) -> int:
        """Most tokens of a text."""
        return self.decoder.plan.tokens

    def require_room(self, prompt: Sequence[int]) -> None:
        """Refuse a prompt that leaves no room on the chip.

        Raises
        ------
        ConfigError
        """
        if len(prompt) >= self.context:
            raise ConfigError(
                f"the prompt has {len(prompt)} tokens, and at most {self.context - 1} are "
                f"possible, since keys and values of {self.context} fit the chip; shorten it, or "
                "raise memory.operand_tiles and memory.scale_words"
            )

    def predict(
        self, prompt: Sequence[int], count: int, show: Callable[[str], None]
    ) -> Continuation:
        """Go on with a prompt on the functional machine."""
        machine = MachineDecoder(self.decoder, self.sampling)
        text = continue_prompt(self.model, machine, prompt, count, show, context=self.context)
        self._keep_logits(machine, prompt, text)
        return text

    def _keep_logits(
        self, runner: MachineDecoder | DeviceDecoder, prompt: Sequence[int], text: Continuation
    ) -> None:
        """Read the logits of all positions that were computed, if they were stored."""
        if self.decoder.layout.logits:
            self.logits = runner.read_logits(len(prompt) + text.made - 1)

    def simulate(
        self, prompt: Sequence[int], count: int, show: Callable[[str], None], *, simulator: str,
        clock_mhz: float, progress: Progress,
    ) -> tuple[Continuation, Simulated]:  # fmt: skip
        """Go on with a prompt on the simulated core, and compare with the machine."""
        with open_device(self.config, self.decoder.size, simulator, progress) as device:
            progress("loading the model")
            runner = DeviceDecoder(self.decoder, device, self.sampling)
            text = continue_prompt(self.model, runner, prompt, count, show, context=self.context)
            self._keep_logits(runner, prompt, text)
        cycles = runner.counters["CYCLES"]
        made = text.made
        machine = MachineDecoder(self.decoder, self.sampling).run(prompt, made)
        ended = text.stopped != Stop.END or machine[-1] in self.model.ends
        return text, Simulated(
            simulator=simulator, bit_exact=ended and machine[: len(text.tokens)] == text.tokens,
            cycles=cycles, clock_mhz=clock_mhz,
            tokens_per_second=(len(prompt) + made - 1) * clock_mhz * 1e6 / cycles,
            counters=runner.counters, prompt_block=self.decoder.block,
        )  # fmt: skip
