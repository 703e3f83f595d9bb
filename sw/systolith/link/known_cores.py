"""Cores whose settings are known by their hash: the presets, alone and on boards."""

import functools
from dataclasses import dataclass

from systolith_hw.config import Config
from systolith_hw.presets import PRESETS

__all__ = ["KnownCore", "known_cores"]


@dataclass(frozen=True)
class KnownCore:
    """A configuration and what chooses it.

    Parameters
    ----------
    config : Config
    preset : str
    options : str
        Of the command line.
    """

    config: Config
    preset: str
    options: str


@functools.cache
def known_cores() -> dict[int, KnownCore]:
    """Return the known cores by the hash of their configuration."""
    from systolith_fpga.boards import BOARDS

    cores = [KnownCore(config, name, f"--preset {name}") for name, config in PRESETS.items()]
    cores += [
        KnownCore(board.config(name), name, _options(name, board.config(name)))
        for board in BOARDS.values() for name in board.variants
    ]  # fmt: skip
    return {core.config.hash: core for core in reversed(cores)}


def _options(name: str, config: Config) -> str:
    """Return what makes a board's configuration of a preset."""
    bus = config.bus
    options = f"--preset {name} --port-bytes {bus.data_bytes}"
    if bus.burst_beats != PRESETS[name].bus.burst_beats:
        options += f" --set bus.burst_beats={bus.burst_beats}"
    return options
