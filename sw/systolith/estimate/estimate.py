"""What is known of a model on a core without running it."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from systolith_hw.config import Config
from systolith_sim.timing import Timing

from ..compiler.memory_needs import NEEDS, Plan

__all__ = ["Choice", "Estimate", "chip_use"]

BUSY = 0.8
"""The share of cycles from which on somebody is the bottleneck."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A preset for a model.

    Parameters
    ----------
    preset : str
    fits : bool
    reason : str
        Why not.
    cycles : int or None
    milliseconds : float or None
    """

    preset: str
    fits: bool
    reason: str = ""
    cycles: int | None = None
    milliseconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A model on a core.

    Parameters
    ----------
    what : str
        What is computed in these cycles.
    macs : int
        Useful multiplications of it.
    weight_bytes : int
        Of all layers, with scales and, of language models, the head.
    cache_bytes : int
        Keys and values that are read; of encoders none.
    memory_bytes : int
        Of external memory.
    port_bytes : int
        Of the port, per cycle.
    multipliers : int
    timing : Timing
        The model's cycles, and who is busy in them.
    clock_mhz : float
    chip : dict
        Of each memory on the chip, the words that are needed, and those that there are.
    """

    what: str
    macs: int
    weight_bytes: int
    cache_bytes: int
    memory_bytes: int
    port_bytes: int
    multipliers: int
    timing: Timing
    clock_mhz: float
    chip: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        """From start to end."""
        return self.timing.cycles

    @property
    def milliseconds(self) -> float:
        """At the clock."""
        return self.cycles / self.clock_mhz / 1000

    @property
    def moved_bytes(self) -> int:
        """Through the port."""
        timing = self.timing
        beats = timing.load_beats + timing.store_beats + timing.fetch_beats
        return beats * self.port_bytes

    @property
    def busy(self) -> dict[str, float]:
        """Shares of the cycles in which the array, the port and the vector unit have work."""
        timing = self.timing
        return {
            "array": timing.array_busy / self.cycles,
            "port": self.moved_bytes / self.port_bytes / self.cycles,
            "vector unit": (timing.vector_busy + timing.row_busy) / self.cycles,
        }

    @property
    def bottleneck(self) -> str:
        """Who is busy nearly always; if nobody is, units wait for one another."""
        name, share = max(self.busy.items(), key=lambda item: item[1])
        return name if share >= BUSY else "hand-overs"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "what": self.what, "macs": self.macs, "weight_bytes": self.weight_bytes,
            "cache_bytes": self.cache_bytes, "memory_bytes": self.memory_bytes,
            "port_bytes": self.port_bytes, "moved_bytes": self.moved_bytes,
            "cycles": self.cycles, "clock_mhz": self.clock_mhz,
            "milliseconds": self.milliseconds,
            "utilization": self.macs / (self.cycles * self.multipliers),
            "bottleneck": self.bottleneck, "busy": self.busy,
            "chip": [
                {"memory": name, "used": used, "words": words}
                for name, (used, words) in self.chip.items()
            ],
            "timing": dataclasses.asdict(self.timing),
        }  # fmt: skip


def chip_use(plan: Plan, config: Config) -> dict[str, tuple[int, int]]:
    """Return what a plan needs of each memory, and what there is."""
    return {
        memory: (getattr(plan, need), getattr(config.memory, memory))
        for memory, need in NEEDS.items()
    }
