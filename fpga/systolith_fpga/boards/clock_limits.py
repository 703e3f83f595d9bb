"""What a phase-locked loop takes and gives."""

from systolith_hw.config import ConfigError

__all__ = ["require_clock"]


def require_clock(name: str, hertz: float, limits: tuple[float, float]) -> None:
    """Refuse a clock that is not within limits, in Hz; ``name`` is what has it."""
    low, high = limits
    if not low <= hertz <= high:
        raise ConfigError(
            f"{name} must have {low / 1e6:g} to {high / 1e6:g} MHz, not {hertz / 1e6:g}"
        )
