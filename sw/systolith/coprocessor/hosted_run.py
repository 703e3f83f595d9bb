"""A language model goes on with a prompt: a core without a row unit makes its products, this
computer does everything else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError
from systolith_sim.device.device import Device
from systolith_sim.device.machine_device import MachineDevice
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import KeyValueCache

from ..compiler.blank_decoder import blank_decoder
from ..compiler.layout import pad
from ..compiler.resident_plan import ResidentPlan
from ..compiler.resident_staging import least_bytes
from ..generation import Continuation, ModelGenerator, continue_prompt
from ..model_run import ModelRun
from ..models.language_model import LanguageModel
from ..models.quantized_language import quantize_language
from ..progress import Progress
from ..sampling import GREEDY, Sampling
from ..workload import PAGE, clock_mhz_of, open_device
from .hosted_model import with_blocks
from .meter import Meter, Use
from .product_core import ProductCore

__all__ = ["HOST_FUNCTIONS", "Hosted", "HostedGenerator", "HostedRun"]

HOST_FUNCTIONS = (
    "norms, rotary positions, attention, functions of hidden values, residual additions, scales of "
    "channels, and the choice of tokens"
)
"""What is left for a computer beside a core that multiplies."""

MACHINE = "machine"


@dataclass(frozen=True, kw_only=True)
class Hosted:
    """What is known of a text whose products a core has made.

    Parameters
    ----------
    simulator : str
        Or the port of a board, or "machine".
    bit_exact : bool
        Whether every product, and every token, and all logits if they are kept, are those of the
        golden model.
    products : int
        Of a token's words and a matrix, or of matrices of the same words, that were compared.
    host_functions : bool
        True: :data:`HOST_FUNCTIONS` are this computer's.
    cycles : int or None
        Of all programs that made products, from start write to done flag; the functional machine
        counts none.
    clock_mhz : float or None
        Of the core; the functional machine has none.
    per_token : Use or None
        What a token takes that is made of one before it.
    baud : int or None
        Of the line, if there is one.
    load_bytes : int or None
        That went over it before the first token, both ways: weights and programs.
    estimated_tokens_per_second : float or None
        On the board: from its line's rate, 10 bits to a byte and both ways one after the other, and
        the core's cycles. Neither this computer's time nor a converter's is in it.
    """

    simulator: str
    bit_exact: bool
    products: int
    host_functions: bool = True
    cycles: int | None
    clock_mhz: float | None
    per_token: Use | None
    baud: int | None
    load_bytes: int | None
    estimated_tokens_per_second: float | None

    def __str__(self) -> str:
        """Return it for people."""
        parts, use = [], self.per_token
        if use and use.core_cycles and self.clock_mhz:
            parts.append(
                f"each takes the core {use.core_cycles:,.0f} cycles "
                f"({use.core_cycles / self.clock_mhz / 1e3:.2f} ms at {self.clock_mhz:g} MHz) in "
                f"{use.runs:g} programs"
            )
        if use and use.bytes_sent is not None and use.bytes_received is not None:
            parts.append(
                f"and {use.bytes_sent + use.bytes_received:,.0f} bytes over the line, so that a "
                f"board with {self.baud:,} baud would make about "
                f"{self.estimated_tokens_per_second:.1f} tokens per second (an estimate)"
            )
        parts.append(
            f"all {self.products:,} products, and every token, are those of the golden model"
            if self.bit_exact else "NOT the golden model's"
        )  # fmt: skip
        return ", ".join(parts)


class HostedGenerator(ModelGenerator):
    """Computes tokens with products of somebody else.

    Parameters
    ----------
    decoder : DecoderModel
    sampling : Sampling
    keep_logits : bool
        Compute those of the whole prompt, too.
    measure : function
        Called before and behind each pass of a single token that ends in logits.
    """

    _decoder: DecoderModel

    def __init__(
        self, decoder: DecoderModel, sampling: Sampling, *, keep_logits: bool,
        measure: Callable[[], None],
    ) -> None:  # fmt: skip
        super().__init__(decoder, sampling, keep_logits=keep_logits)
        self._measure = measure

    def _compute(self, tokens: list[int], cache: KeyValueCache) -> NDArray[np.floating]:
        *before, last = tokens
        rows: list[NDArray[np.floating]] = []
        if before and self._keep_logits:
            rows.append(self._decoder.logits(before, cache))
        elif before:
            self._decoder.last_words(before, cache)
        self._measure()
        rows.append(self._decoder.logits([last], cache))
        self._measure()
        return np.concatenate(rows)


class HostedRun(ModelRun):
    """A language model in the integers of a core without a row unit.

    Parameters
    ----------
    model : LanguageModel
    config : Config
    progress : Progress
    sampling : Sampling
        How tokens are chosen.
    weights : str
        Key of ``CODECS``: "int8".
    context : int, or None
        Most tokens of a text; by default the model's.
    logits : bool
        Keep logits, too.

    Raises
    ------
    ConfigError
        If the weights do not fit operand memory.
    """

    def __init__(
        self, model: LanguageModel, config: Config, progress: Progress,
        sampling: Sampling = GREEDY, *, weights: str = "int8", context: int | None = None,
        logits: bool = False,
    ) -> None:  # fmt: skip
        if weights != "int8":
            raise ConfigError(
                f"--weights {weights} is not for a core without a row unit (vector.rows is 0), "
                "whose weights all are in operand memory, of 8 bits; take --weights int8"
            )
        self.config = config
        # Rounding the weights may take minutes, and shapes say whether they fit.
        _, blank = with_blocks(blank_decoder(config, model.decoder))
        self.plan = ResidentPlan(config, [block.weights.shape for block in blank], model.name)
        integers = quantize_language(model, config, weights, progress)
        self.hosted, self.blocks = with_blocks(integers)
        super().__init__(model, integers, sampling, context=context, logits=logits)

    def simulate(
        self, prompt: Sequence[int], count: int, show: Callable[[str], None], *, simulator: str,
        clock_mhz: float | None, progress: Progress,
    ) -> tuple[Continuation, Hosted]:  # fmt: skip
        """Go on with a prompt, and compare all of it with the golden model.

        ``simulator`` is one of :func:`~systolith.workload.open_device`, or "machine".
        """
        with self._open(simulator, progress) as device:
            progress("loading the weights")
            core = ProductCore(device, self.plan, self.blocks, progress)
            meter = Meter(device, core)
            generator = HostedGenerator(
                self.hosted, self.sampling, keep_logits=self.keep_logits, measure=meter.look
            )
            text = continue_prompt(
                self.model, generator, prompt, count, show, context=self.context
            )
            clock = clock_mhz_of(device, clock_mhz)
        mine = np.concatenate(generator.logits) if self.keep_logits else self.logits
        exact = self._is_golden(prompt, text, mine)
        self.logits = mine
        timeless = simulator == MACHINE
        return text, Hosted(
            simulator=simulator, bit_exact=exact,
            products=sum(block.products for block in self.blocks),
            cycles=None if timeless else core.cycles, clock_mhz=None if timeless else clock,
            per_token=meter.per_token(timeless=timeless), baud=meter.baud,
            load_bytes=meter.load_bytes, estimated_tokens_per_second=meter.estimate(clock),
        )  # fmt: skip

    def _open(self, simulator: str, progress: Progress) -> Device:
        size = least_bytes(self.plan)
        if simulator == MACHINE:
            return MachineDevice(self.config, pad(size, PAGE))
        return open_device(self.config, size, simulator, progress)

    def _is_golden(
        self, prompt: Sequence[int], text: Continuation, logits: NDArray[np.floating]
    ) -> bool:
        """Return whether products, tokens and kept logits are those of the golden model."""
        golden = self.compute(prompt, text.made, lambda piece: None)
        return (
            not any(block.wrong for block in self.blocks)
            and golden.tokens == text.tokens
            and (not self.keep_logits or np.array_equal(self.logits, logits))
        )
