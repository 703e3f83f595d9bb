"""A language model goes on with a prompt without any hardware."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import ConfigError
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import FloatDecoder

from .generation import Continuation, ModelGenerator, continue_prompt
from .models.language_model import LanguageModel
from .sampling import Sampling

__all__ = ["ModelRun"]


class ModelRun:
    """A language model in float32, or in a core's integers.

    Parameters
    ----------
    model : LanguageModel
    decoder : FloatDecoder or DecoderModel
        What computes its logits.
    sampling : Sampling
        How tokens are chosen.
    context : int, or None
        Most tokens of a text; by default the model's.
    logits : bool
        Keep logits, too.

    Attributes
    ----------
    context : int
    logits : array (positions, V)
        In nats, of all positions of the last text, if they are kept.

    Raises
    ------
    ConfigError
        If the model has no such context.
    """

    def __init__(
        self, model: LanguageModel, decoder: FloatDecoder | DecoderModel, sampling: Sampling, *,
        context: int | None = None, logits: bool = False,
    ) -> None:  # fmt: skip
        most = model.decoder.context
        if context is not None and context > most:
            raise ConfigError(
                f"the context must be at most {most} tokens, the model's own, not {context}"
            )
        self.model = model
        self.sampling = sampling
        self.context = context or most
        self.keep_logits = logits
        self.logits: NDArray[np.floating] = np.zeros((0, len(model.decoder.embedding)))
        self._decoder = decoder

    def require_room(self, prompt: Sequence[int]) -> None:
        """Refuse a prompt that leaves no room for a token behind it.

        Raises
        ------
        ConfigError
        """
        if len(prompt) >= self.context:
            why, instead = self._limit(len(prompt))
            raise ConfigError(
                f"the prompt has {len(prompt)} tokens, and at most {self.context - 1} are "
                f"possible, since {why}; shorten it, or {instead}"
            )

    def _limit(self, length: int) -> tuple[str, str]:
        """Return why a text with a prompt of some length has no room, and what would help."""
        return f"--context is {self.context}", "raise --context"

    def compute(
        self, prompt: Sequence[int], count: int, show: Callable[[str], None]
    ) -> Continuation:
        """Go on with a prompt; ``show`` is given each piece of text as it comes."""
        generator = ModelGenerator(self._decoder, self.sampling, keep_logits=self.keep_logits)
        text = continue_prompt(self.model, generator, prompt, count, show, context=self.context)
        if self.keep_logits:
            self.logits = np.concatenate(generator.logits)
        return text
