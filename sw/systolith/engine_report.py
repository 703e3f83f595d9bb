"""What a run of a model was: where, how long, and how close to float."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph.partition import Partition

__all__ = ["EngineReport", "Signal"]


@dataclass(frozen=True)
class Signal:
    """How close a tensor came to float.

    Parameters
    ----------
    name : str
    decibels : float
        Of signal to noise; infinite if there is none.
    cosine : float
        The worst of all rows of the last axis.
    """

    name: str
    decibels: float
    cosine: float

    @classmethod
    def measure(cls, name: str, got: NDArray, want: NDArray) -> "Signal":
        """Compare a tensor with float's; rows that are all zero are of hidden tokens."""
        got, want = np.atleast_2d(got).astype(np.float64), np.atleast_2d(want).astype(np.float64)
        got, want = got.reshape(-1, got.shape[-1]), want.reshape(-1, want.shape[-1])
        seen = got.any(axis=-1)
        got, want = got[seen], want[seen]
        noise, signal = float(((got - want) ** 2).sum()), float((want**2).sum())
        lengths = np.linalg.norm(got, axis=-1) * np.linalg.norm(want, axis=-1)
        cosines = (got * want).sum(axis=-1) / np.where(lengths > 0, lengths, 1.0)
        decibels = 10 * np.log10(signal / noise) if noise and signal else np.inf
        return cls(name, float(decibels), float(cosines.min(initial=1.0)))


    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, which knows no infinity."""
        decibels = self.decibels if np.isfinite(self.decibels) else None
        return {"name": self.name, "decibels": decibels, "cosine": self.cosine}


@dataclass(frozen=True, kw_only=True)
class EngineReport:
    """What all calls of an engine were, and how close to float the last one came.

    Parameters
    ----------
    device : str
    calls, runs : int
        Of the model; and of the core, of which a call takes several if its batch is large.
    cycles : int or None
        Of all runs, where they were counted.
    port_bytes : int
        All that crossed the core's port in all runs; on the machine without the program.
    parts : Partition
        What the core and what the host does.
    signals : list of Signal
        Of stacks' states and of outputs.
    """

    device: str
    calls: int
    runs: int
    cycles: int | None
    port_bytes: int
    parts: Partition
    signals: list[Signal]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it; signals without noise have no decibels."""
        return {
            "device": self.device, "calls": self.calls, "runs": self.runs, "cycles": self.cycles,
            "port_bytes_moved": self.port_bytes, **self.parts.to_dict(),
            "signals": [one.to_dict() for one in self.signals],
        }  # fmt: skip

    def __str__(self) -> str:
        """Return it as lines of text."""
        cycles = "not counted" if self.cycles is None else f"{self.cycles:,}"
        ran = f"device {self.device}: calls {self.calls}, runs of the core {self.runs}, "
        lines = [f"{ran}cycles {cycles}, bytes through its port {self.port_bytes:,}"]
        lines.append(str(self.parts))
        lines += [
            f"{one.name}: {one.decibels:.1f} dB, worst cosine {one.cosine:.5f} to float"
            for one in self.signals
        ]
        return "\n".join(lines)
