"""How long a language model takes for a token, by the times of its program's instructions."""

import dataclasses

from systolith_hw.isa import Register
from systolith_sim.timing import Timing, replay

from .language import CompiledDecoder

__all__ = ["streamed_token", "token_in_text", "tokens_before"]


def tokens_before(position: int) -> int:
    """Return how many tokens of a run come before one that is measured as of a text's middle.

    The first token of a run begins in another way than others, so that the second one may find
    less done ahead than those behind it.
    """
    return min(2, position)


def streamed_token(compiled: CompiledDecoder, position: int) -> Timing:
    """Return the time of a run for the token behind ``position`` others and another one.

    It is the first run, which fetches its program.
    """
    return _run(compiled, position + 1, 1, position, cold=True)


def token_in_text(compiled: CompiledDecoder, position: int) -> Timing:
    """Return the time of a token in the middle of a text, behind ``position`` others.

    That is what a run takes longer than one that ends before it.
    """
    before = tokens_before(position)
    first = position - before
    short, long = (_run(compiled, first + 1, count, first) for count in (before, before + 1))
    return Timing(**{
        part.name: getattr(long, part.name) - getattr(short, part.name)
        for part in dataclasses.fields(Timing)
    })  # fmt: skip


def _run(
    compiled: CompiledDecoder, prompt: int, count: int, first: int, *, cold: bool = False
) -> Timing:
    """Return the time of some tokens; of their numbers nothing depends."""
    tokens = compiled.layout.list
    return replay(
        compiled.plan.config, compiled.parts[compiled.program], address=compiled.program,
        parts={tokens.address: tokens.pack([0] * prompt, count, first)},
        registers={Register.POSITION: first}, cold=cold,
    )  # fmt: skip
