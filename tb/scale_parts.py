"""Writes of scale words, part by part."""

from systolith_hw.config import Config

__all__ = ["scale_parts"]


def scale_parts(config: Config, address: int, word: list) -> list[dict]:
    """Return the fields of the writes that bring all channels of ``word`` to ``address``."""
    lanes = config.scale_write_lanes
    return [
        {"address": address, "part": first // lanes, "data": word[first : first + lanes]}
        for first in range(0, len(word), lanes)
    ]
