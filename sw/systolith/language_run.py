"""A language model goes on with a prompt: on simulated hardware, on the functional machine, or in
the golden model of the same core."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from systolith_hw.config import Config
from systolith_sim.transformer.decoder_model import DecoderModel

from .board_time import BoardTime
from .compiler.decoder_fit import plan_decoder
from .compiler.decoder_plan import DecoderPlan
from .compiler.decoder_streamed_fit import plan_streamed
from .compiler.memory_needs import shortage
from .device_language import DeviceDecoder
from .generation import Continuation, Stop, continue_prompt
from .language import CompiledDecoder, MachineDecoder
from .model_run import ModelRun
from .models.language_model import LanguageModel
from .models.quantized_language import quantize_language
from .progress import Progress
from .sampling import GREEDY, Sampling
from .workload import clock_mhz_of, open_device

__all__ = ["LanguageRun", "Simulated"]


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What only the hardware's time says of a text.

    Parameters
    ----------
    simulator : str
        Or the port of a board.
    bit_exact : bool
        Whether the tokens, and logits if they are kept, are those of the machine.
    cycles : int
        Of the whole text, from start write to done flag.
    clock_mhz : float
    tokens_per_second_at_clock : float
        Those of the prompt among them.
    counters : dict
        All of the hardware's.
    prompt_block : int
        Most tokens of the prompt that went through the model together.
    board : BoardTime or None
        Clocks and use of memory, if it is a board.
    """

    simulator: str
    bit_exact: bool
    cycles: int
    clock_mhz: float
    tokens_per_second_at_clock: float
    counters: dict[str, int]
    prompt_block: int
    board: BoardTime | None = None

    def __str__(self) -> str:
        """Return it for people."""
        exact = "every one that of the machine" if self.bit_exact else "NOT the machine's"
        clock = f"{self.clock_mhz:g} MHz"
        if self.board and self.board.core_mhz == self.clock_mhz:
            clock = str(self.board)
        return (
            f"{self.cycles:,} cycles: {self.tokens_per_second_at_clock:,.0f} tokens per second at "
            f"{clock}, those of the prompt among them; {exact}"
        )


class LanguageRun(ModelRun):
    """A language model in the integers of one configuration, on hardware or without any.

    Parameters
    ----------
    model : LanguageModel
    config : Config
    progress : Progress
    sampling : Sampling
        How tokens are chosen.
    weights : str
        Key of ``CODECS``.
    context : int, or None
        Most tokens of a text; by default as many as fit.
    logits : bool
        Keep logits, too.
    streamed : bool
        Weights, keys and values are in external memory; otherwise all of it on the chip.
    reach : function, or None
        Given the model, returns a config whose addresses reach far enough.

    Raises
    ------
    ConfigError
        If it does not fit the chip, or the core cannot choose tokens so.
    """

    def __init__(
        self, model: LanguageModel, config: Config, progress: Progress,
        sampling: Sampling = GREEDY, *, weights: str = "int8", context: int | None = None,
        logits: bool = False, streamed: bool = False,
        reach: Callable[[DecoderModel], Config] | None = None,
    ) -> None:  # fmt: skip
        sampling.require(config)
        self.asked = context
        self.streamed = streamed
        self.integers = quantize_language(
            model, config, weights, progress, streamed=streamed
        )
        self.config = reach(self.integers) if reach else config
        find = plan_streamed if streamed else plan_decoder
        self.plan: DecoderPlan = find(self.config, self.integers, context=context)
        super().__init__(model, self.integers, sampling, context=self.plan.tokens, logits=logits)

    @cached_property
    def decoder(self) -> CompiledDecoder:
        """The compiled model, which the golden model does not need."""
        return CompiledDecoder.compile(
            self.config, self.integers, ends=self.model.ends, context=self.context,
            logits=self.keep_logits, streamed=self.streamed,
        )  # fmt: skip

    def compile(self, progress: Progress) -> None:
        """Compile the model now, and not with the first text."""
        progress(f"compiling {self.model.name}")
        assert self.decoder

    def _limit(self, length: int) -> tuple[str, str]:
        """Return why a text with a prompt of some length has no room, and what would help."""
        wanted = self.plan.with_tokens(length + 1)
        if self.asked is not None:
            return super()._limit(length)
        if short := shortage(wanted):
            memory, need = short
            why = f"keys and values of {self.context} fit the chip"
            return why, f"raise memory.{memory} to at least {need}"
        return f"array.max_k is {self.config.array.max_k}", "raise that"

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
        if self.keep_logits:
            self.logits = runner.read_logits(len(prompt) + text.made - 1)

    def simulate(
        self, prompt: Sequence[int], count: int, show: Callable[[str], None], *, simulator: str,
        clock_mhz: float | None, progress: Progress,
    ) -> tuple[Continuation, Simulated]:  # fmt: skip
        """Go on with a prompt on a simulated core or a board, and compare with the machine."""
        with open_device(self.config, self.decoder.size, simulator, progress) as device:
            progress("loading the model")
            runner = DeviceDecoder(self.decoder, device, self.sampling)
            text = continue_prompt(self.model, runner, prompt, count, show, context=self.context)
            self._keep_logits(runner, prompt, text)
            clock = clock_mhz_of(device, clock_mhz)
            board = BoardTime.of(device, runner.counters)
        cycles = runner.counters["CYCLES"]
        made = text.made
        return text, Simulated(
            simulator=simulator, bit_exact=self._is_predicted(prompt, text), cycles=cycles,
            clock_mhz=clock,
            tokens_per_second_at_clock=(len(prompt) + made - 1) * clock * 1e6 / cycles,
            counters=runner.counters, prompt_block=self.decoder.block, board=board,
        )  # fmt: skip

    def _is_predicted(self, prompt: Sequence[int], text: Continuation) -> bool:
        """Return whether tokens, and logits if they are kept, are those of the machine."""
        machine = MachineDecoder(self.decoder, self.sampling)
        made = machine.run(prompt, text.made)
        ended = text.stopped != Stop.END or made[-1] in self.model.ends
        logits = not self.keep_logits or np.array_equal(
            self.logits, machine.read_logits(len(self.logits))
        )
        return ended and made[: len(text.tokens)] == text.tokens and logits
