"""A story of a language model, on the CPU's serial line."""

from collections.abc import Sequence

from systolith.language import CompiledDecoder
from systolith_fpga.firmware.story import stage_story
from systolith_fpga.firmware.texts import Decodes
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
    story = stage_story(
        decoder, prompt, count, name=name, tokenizer=tokenizer, largest=largest, polls=polls
    )
    return Work(
        config=decoder.plan.config, memory=story.memory, memory_bytes=story.memory_bytes,
        job=story.job,
    )  # fmt: skip
