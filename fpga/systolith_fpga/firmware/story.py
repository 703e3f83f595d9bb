"""A story of a language model, for a CPU that tells it on a serial line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from systolith.language import CompiledDecoder

from .job import Job
from .staging import Staging, split
from .texts import Decodes, texts

__all__ = ["Story", "stage_story"]


@dataclass(frozen=True, kw_only=True)
class Story:
    """What main memory is to hold, and what the CPU is to do with it.

    Parameters
    ----------
    memory : dict of bytes
        Contents by address.
    memory_bytes : int
        Behind the last one.
    job : Job
    """

    memory: Mapping[int, bytes]
    memory_bytes: int
    job: Job


def stage_story(
    decoder: CompiledDecoder, prompt: Sequence[int], count: int, *, name: str = "a model",
    tokenizer: Decodes | None = None, largest: int = 1 << 30, polls: int = 1 << 30,
) -> Story:  # fmt: skip
    """Return what it takes to make ``count`` tokens behind a prompt.

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
    return Story(memory={**large, **staging.parts}, memory_bytes=staging.end, job=job)
