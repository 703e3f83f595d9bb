"""With what seed and target each preset was placed and routed; luck is in it, so they are kept."""

import dataclasses
from dataclasses import dataclass

from systolith_hw.config import Config
from systolith_hw.presets import PRESETS

from .parts import PARTS
from .place_and_route import MEET_TIMING

__all__ = ["Effort", "effort"]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What nextpnr is told besides a device's own options.

    Parameters
    ----------
    seed : int
        Of placement.
    router : str
        The default, router2, does not converge for `tiny`.
    target_mhz : float
        What it aims at.
    options : tuple of str
        Others.
    """

    seed: int = 1
    router: str = "router2"
    target_mhz: float
    options: tuple[str, ...] = ()


BEST: dict[tuple[str, str], Effort] = {
    ("small", "ecp5-85k"): Effort(seed=1, target_mhz=92, options=(MEET_TIMING,)),
    ("ulx3s", "ecp5-85k"): Effort(seed=1, target_mhz=82, options=(MEET_TIMING,)),
    ("ulx3s-resident", "ecp5-85k"): Effort(seed=1, target_mhz=82),
    ("tiny", "ice40-up5k"): Effort(seed=1, router="router1", target_mhz=24),
}
"""By preset and device, as far as tried: README.md has the clocks, and of which commit."""


def effort(config: Config) -> Effort:
    """Return what is known for a configuration: that of its preset, or a default."""
    for (name, device), best in BEST.items():
        if config == dataclasses.replace(PRESETS[name], device=device):
            return best
    return Effort(target_mhz=PARTS[config.device].target_mhz)
