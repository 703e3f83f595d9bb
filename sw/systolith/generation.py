"""Text behind a prompt, token by token, whoever computes the tokens."""

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import FloatDecoder, KeyValueCache

from .models.language_model import LanguageModel, require_tokens
from .sampling import Sampling, choose

__all__ = ["Continuation", "Generator", "ModelGenerator", "Stop", "continue_prompt"]


class Generator(Protocol):
    """Computes the tokens behind a prompt."""

    def generate(self, prompt: Sequence[int], count: int) -> Iterator[int]:
        """Yield ``count`` tokens, each as soon as it is known.

        Prompt and tokens fit the context together. Whoever takes the tokens may stop before the
        last one.
        """
        ...


class ModelGenerator:
    """Computes tokens without any hardware.

    Parameters
    ----------
    decoder : FloatDecoder or DecoderModel
        In float32, or in the integers of the hardware.
    sampling : Sampling
    keep_logits : bool

    Attributes
    ----------
    logits : list of arrays (S, V)
        In nats, of all positions of the last text one after another, if they are kept.
    """

    def __init__(
        self, decoder: FloatDecoder | DecoderModel, sampling: Sampling, *,
        keep_logits: bool = False,
    ) -> None:  # fmt: skip
        self._decoder = decoder
        self._sampling = sampling
        self._keep_logits = keep_logits
        self.logits: list[NDArray[np.floating]] = []

    def generate(self, prompt: Sequence[int], count: int) -> Iterator[int]:
        """Yield ``count`` tokens, each as soon as it is known."""
        cache = KeyValueCache(len(self._decoder.layers))
        tokens, self.logits = list(prompt), []
        for _ in range(count):
            logits = self._compute(tokens, cache)
            if self._keep_logits:
                self.logits.append(logits)
            token = choose(logits[-1], self._sampling, cache.length)
            yield token
            tokens = [token]

    def _compute(self, tokens: list[int], cache: KeyValueCache) -> NDArray[np.floating]:
        """Return logits behind each of more tokens, or, if none are kept, at least the last's."""
        return self._decoder.logits(tokens, cache)


class Stop(enum.StrEnum):
    """Why a text has no more tokens."""

    TOKENS = "tokens"  # as many as were asked for
    END = "end"  # the model ended it
    CONTEXT = "context"  # the context is full


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What came behind a prompt.

    Parameters
    ----------
    text : str
    tokens : list of int
        Those of the text, without one that ended it.
    stopped : Stop
    """

    text: str
    tokens: list[int]
    stopped: Stop

    @property
    def made(self) -> int:
        """Tokens that were made, with one that ended the text."""
        return len(self.tokens) + (self.stopped == Stop.END)


def continue_prompt(
    model: LanguageModel, generator: Generator, prompt: Sequence[int], count: int,
    show: Callable[[str], None], *, context: int | None = None,
) -> Continuation:  # fmt: skip
    """Generate at most ``count`` tokens; ``show`` is given each piece of text as it comes.

    Prompt and text are at most as many tokens as the ``context`` has, by default the model's.

    Raises
    ------
    TextError
        If a token of the prompt is not in the vocabulary.
    """
    require_tokens(prompt, len(model.decoder.embedding))
    room = (context or model.decoder.context) - len(prompt)
    stopped = Stop.TOKENS if count <= room else Stop.CONTEXT
    tokens: list[int] = []
    pieces: list[str] = []
    stream = model.tokenizer.stream()
    for token in generator.generate(prompt, min(count, room)):
        if token in model.ends:
            stopped = Stop.END
            break
        tokens.append(token)
        pieces.append(stream.push(token))
        show(pieces[-1])
    pieces.append(stream.flush())
    show(pieces[-1])
    return Continuation(text="".join(pieces), tokens=tokens, stopped=stopped)
