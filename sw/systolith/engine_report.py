"""What a run of a model was: where, how long, and how close to float."""

from dataclasses import dataclass
from typing import Any

from .accuracy import Accuracy, Signal
from .graph.partition import Partition

__all__ = ["EngineReport"]


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
    moved_bytes : int
        All that crossed the core's port in all runs; on the machine without the program.
    parts : Partition
        What the core and what the host does.
    signals : list of Signal
        Of stacks' states and of outputs, of the last call.
    accuracy : Accuracy
        Layer by layer, measured when the model was compiled.
    """

    device: str
    calls: int
    runs: int
    cycles: int | None
    moved_bytes: int
    parts: Partition
    signals: list[Signal]
    accuracy: Accuracy

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it; signals without noise have no decibels."""
        return {
            "device": self.device, "calls": self.calls, "runs": self.runs, "cycles": self.cycles,
            "moved_bytes": self.moved_bytes, **self.parts.to_dict(),
            "signals": [one.to_dict() for one in self.signals],
            "accuracy": self.accuracy.to_dict(),
        }  # fmt: skip

    def __str__(self) -> str:
        """Return it as lines of text."""
        cycles = "not counted" if self.cycles is None else f"{self.cycles:,}"
        ran = f"device {self.device}: calls {self.calls}, runs of the core {self.runs}, "
        lines = [f"{ran}cycles {cycles}, bytes through its port {self.moved_bytes:,}"]
        lines.append(str(self.parts))
        lines += [
            f"{one.name}: {one.decibels:.1f} dB, worst cosine {one.cosine:.5f} to float"
            for one in self.signals
        ]
        return "\n".join([*lines, str(self.accuracy)])
