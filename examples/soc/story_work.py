"""A story of a language model, on the CPU's serial line."""

from collections.abc import Sequence

from firmware import Job
from systolith.language import CompiledDecoder
from systolith_fpga.firmware.staging import Staging, split
from systolith_fpga.firmware.texts import Decodes, texts
from work import Work

__all__ = ["story_work"]


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
