"""What a program is for, in the errors of whoever writes it."""

import contextlib
from collections.abc import Iterator

from systolith_hw.config import ConfigError

__all__ = ["programming"]


@contextlib.contextmanager
def programming(what: str) -> Iterator[None]:
    """Say that it is ``what`` for which there are too few semaphores, registers or instructions.

    Raises
    ------
    ConfigError
        For a ValueError of :class:`~systolith.program.Program`; one that is a ConfigError already
        says enough.
    """
    try:
        yield
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{what} cannot be programmed: {error}") from error
