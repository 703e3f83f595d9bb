"""The fewest cycles that multipliers and port leave room for."""

from systolith_hw.config import Config

__all__ = ["roofline_cycles"]


def roofline_cycles(config: Config, macs: int, compulsory_bytes: float) -> float:
    """Return ``max(macs / multipliers, compulsory_bytes / port_bytes)``.

    Compulsory is each weight, scale, input and output once, whatever a plan moves.
    """
    array = config.array
    return max(macs / (array.rows * array.columns), compulsory_bytes / config.bus.data_bytes)
