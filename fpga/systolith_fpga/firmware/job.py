"""What a CPU's program is to do."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field

import numpy as np

__all__ = ["JOB_BYTES", "Job"]

JOB_BYTES = 512
"""Room for one."""

MOST_IMAGES, MOST_PROMPT = 4, 64


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the program is to do: ``struct job`` of ``soc.h``, where each field is told of.

    Addresses are bytes from the begin of main memory.
    """

    kind: int
    core_bytes: int
    images: Sequence[tuple[int, int]]
    polls: int = 1 << 30
    length: int = 0
    measured: int = 0
    counters: int = 0
    loop_tokens: int = 0
    loop_channels: int = 0
    loop_inputs: int = 0
    activations: int = 0
    weights: int = 0
    make: int = 0
    prompt: Sequence[int] = field(default_factory=tuple)
    texts: int = 0

    STORY, LAYER = 1, 2

    def to_bytes(self) -> bytes:
        """Return it as the CPU has it in memory.

        Raises
        ------
        ValueError
            If there are more images or words of a prompt than it has room for.
        """
        if len(self.images) > MOST_IMAGES:
            raise ValueError(f"images must be at most {MOST_IMAGES}, not {len(self.images)}")
        if len(self.prompt) > MOST_PROMPT:
            raise ValueError(f"a prompt has at most {MOST_PROMPT} tokens, not {len(self.prompt)}")
        kind, core_bytes, images, *rest, prompt, texts = astuple(self)
        pieces = [*images, *[(0, 0)] * (MOST_IMAGES - len(images))]
        words = [*prompt, *[0] * (MOST_PROMPT - len(prompt))]
        flat = [kind, core_bytes, len(images), *sum(pieces, ()), *rest, len(prompt), *words, texts]
        return np.array(flat, "<u4").tobytes()
