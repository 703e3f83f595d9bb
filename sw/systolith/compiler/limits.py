"""Refuse shapes that a config has no room for, in sentences that say what would fit."""

import bisect
import dataclasses
from collections.abc import Callable
from typing import Any

from systolith_hw.config import ConfigError

from .tiling import Tiling

__all__ = ["require_at_most", "require_room"]


def require_room(
    tiling: Tiling, name: str, need: Callable[[Tiling], int], what: str, *, instead: str = ""
) -> None:
    """Refuse a shape that takes more words than memory ``name`` has."""
    have = getattr(tiling.config.memory, name)
    limit = f"memory.{name} must be at least {need(tiling)} for {what}, not {have}"
    require_at_most(tiling, need, have, limit, f"{instead}raise memory.{name}")


def require_at_most(
    tiling: Tiling, need: Callable[[Tiling], int], have: int, limit: str, remedy: str
) -> None:
    """Refuse a shape that needs more than there is, in a sentence that says what would fit.

    ``need`` does not fall when m, k or n grows.
    """
    if need(tiling) <= have:
        return
    fitting = {name: _largest(tiling, name, need, have) for name in ("m", "k", "n")}
    guilty = [name for name, value in fitting.items() if value] or list(fitting)
    shape = " and ".join(f"{name} {getattr(tiling, name)}" for name in guilty)
    lower = " or ".join(f"{name} to {fitting[name]}" for name in guilty if fitting[name])
    raise ConfigError(
        f"{shape} {'is' if len(guilty) == 1 else 'are'} too large: {limit}; "
        + (f"lower {lower}, or {remedy}" if lower else remedy)
    )


def _largest(tiling: Tiling, name: str, need: Callable[[Tiling], int], have: int) -> int:
    """Return how large the one dimension may be for ``have`` to do; 0 if nothing is small enough.

    It is smaller than the dimension is now.
    """

    def needed(value: int) -> int:
        changed: dict[str, Any] = {name: value}
        return need(dataclasses.replace(tiling, **changed))

    return bisect.bisect_right(range(1, getattr(tiling, name)), have, key=needed)
