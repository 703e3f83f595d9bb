"""Estimates of compiled models, for the core that they were compiled for."""

from systolith_hw.config import ConfigError

from ..model_program import ModelProgram
from .encoder import estimate_stacks
from .estimate import Estimate
from .language import estimate_decoder

__all__ = ["estimate_program"]


def estimate_program(
    program: ModelProgram, tokens: int | None, position: int, clock_mhz: float
) -> Estimate:
    """Return the estimate of a sentence of some tokens, or of the token behind ``position`` others.

    Raises
    ------
    ConfigError
        If nothing of the model is for the core, or it has no room for them.
    """
    if program.language:
        return estimate_decoder(program.language.text, position, clock_mhz)
    if not program.stacks:
        raise ConfigError("nothing of the model is for the core; systolith inspect says why")
    lengths = None if tokens is None else [tokens]
    return estimate_stacks(program.config, program.stacks, lengths, clock_mhz)
