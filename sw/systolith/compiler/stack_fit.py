"""How many tokens and sentences the program of a stack of layers is for."""

from collections.abc import Sequence

from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError
from systolith_sim.transformer.reference import FloatLayer

from .encoder_fit import plan_encoder
from .encoder_shape import EncoderShape

__all__ = ["SEGMENTS", "TokensError", "fit_stack", "sentence_sizes", "stack_shape"]

FEWEST_TOKENS = 32
"""Programs are compiled for this many tokens, or for a power of two times as many."""

SEGMENTS = 4
"""Sentences of a run, if that many fit."""


class TokensError(ConfigError):
    """Fewer tokens are asked for than the example has, which is not for the host to mend."""


def sentence_sizes(sentences: Sequence[NDArray]) -> tuple[int, int]:
    """Return the longest sentence, and how many a run should take."""
    return max(map(len, sentences), default=1), max(1, min(SEGMENTS, len(sentences)))


def stack_shape(layers: Sequence[FloatLayer], tokens: int) -> EncoderShape:
    """Return the sizes of layers that are alike; states of so many tokens come from the host."""
    first = layers[0]
    return EncoderShape(
        features=len(first.query.weights), heads=first.heads, hidden=len(first.down.weights),
        layers=len(layers), vocabulary=tokens, positions=tokens,
    )  # fmt: skip


def fit_stack(
    config: Config, layers: Sequence[FloatLayer], longest: int, segments: int, tokens: int | None
) -> tuple[int, int]:
    """Return the tokens and sentences of a program for the longest sentence.

    Raises
    ------
    TokensError
        If ``tokens`` are fewer than the longest sentence has.
    ConfigError
        If it does not fit.
    """
    if tokens is not None and tokens < longest:
        raise TokensError(
            f"tokens must be at least {longest}, as many as the longest sentence of the example "
            f"has, not {tokens}; raise tokens, or give a shorter example"
        )
    if tokens is None:
        tokens = FEWEST_TOKENS
        while tokens < longest:
            tokens *= 2
        try:
            plan_encoder(config, stack_shape(layers, tokens), tokens=tokens, segments=segments)
        except ConfigError:  # fewer may do
            tokens, segments = longest, 1
    plan_encoder(config, stack_shape(layers, tokens), tokens=tokens, segments=segments)
    return tokens, segments
