"""A story of a language model, on the CPU's serial line."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from firmware import Job
from systolith.language import CompiledDecoder
from work import Staging, Work, split

__all__ = ["Decodes", "story_work", "texts"]


class Decodes(Protocol):
    """Knows the text of tokens, as :class:`systolith.models.text_tokenizer.TextTokenizer` does."""

    def decode(self, tokens: Sequence[int], /) -> str:
        """Return it."""


def story_work(
    decoder: CompiledDecoder, prompt: Sequence[int], count: int, *, name: str = "a model",
    tokenizer: Decodes | None = None, largest: int = 1 << 30, polls: int = 1 << 30,
) -> Work:  # fmt: skip
    """Return the work of making ``count`` tokens behind a prompt.

    Parameters
    ----------
    decoder : CompiledDecoder
    prompt : sequence of int
    count : int
    name : str
        Of the model, for its image.
    tokenizer : Decodes, optional
        With one the CPU says words, else numbers.
    largest : int
        Parts of the image with more bytes are in main memory from the start.
    polls : int
        How often the CPU looks before it gives up.
    """
    image, large = split(decoder.image(name), largest)
    staging = Staging(decoder.size)
    images = staging.images([image])
    words = 0
    if tokenizer:
        words = staging.add(texts(tokenizer, decoder.plan.shape.vocabulary, prompt[-1]))
    job = Job(
        kind=Job.STORY, core_bytes=staging.core_bytes, images=images, make=count,
        prompt=tuple(prompt), texts=words, polls=polls,
    )  # fmt: skip
    return Work(
        config=decoder.plan.config, memory={**large, **staging.parts},
        memory_bytes=staging.end, job=job,
    )  # fmt: skip


def texts(tokenizer: Decodes, vocabulary: int, before: int) -> bytes:
    """Return where each token's text begins, where the last one ends, and the texts, UTF-8.

    A token may say another thing at the begin of a text, so it is asked for behind ``before``.
    """
    start = len(tokenizer.decode([before]))
    words = [tokenizer.decode([before, token])[start:].encode() for token in range(vocabulary)]
    begins = np.cumsum([2 * (vocabulary + 1), *map(len, words)])
    if begins[-1] >= 1 << 16:
        raise ValueError(f"the texts have {begins[-1]} bytes, but at most 65535 can be told apart")
    return begins.astype("<u2").tobytes() + b"".join(words)
