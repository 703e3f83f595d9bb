"""What a run of a model was: where, how long, and how close to float."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from .accuracy import Accuracy, Signal
from .compiler.encoder_choice import PlanChoice
from .graph.partition import Partition

__all__ = ["EngineReport"]

CORE = ("EncoderStack", "DecoderStack")
"""Operators of nodes that the core computes."""


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
    plans : list of PlanChoice
        Of each stack: how it is cut, and what else there was to choose from.
    uncompared : list of str
        Outputs of another shape than float's, since it depends on values: nothing to compare.
    """

    device: str
    calls: int
    runs: int
    cycles: int | None
    moved_bytes: int
    parts: Partition
    signals: list[Signal]
    accuracy: Accuracy
    plans: list[PlanChoice]
    uncompared: list[str]

    @property
    def on_core(self) -> bool:
        """Whether the core has a part of the model, so that signals have noise of its own."""
        return any(node.operator in CORE for node in self.parts.graph.nodes)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it; signals without noise have no decibels."""
        return {
            "device": self.device, "calls": self.calls, "runs": self.runs, "cycles": self.cycles,
            "moved_bytes": self.moved_bytes, **self.parts.to_dict(),
            "signals": [one.to_dict() for one in self.signals],
            "uncompared": self.uncompared,
            "plans": [dataclasses.asdict(plan) for plan in self.plans],
            "accuracy": self.accuracy.to_dict(),
        }  # fmt: skip

    def __str__(self) -> str:
        """Return it as lines of text."""
        cycles = "not counted" if self.cycles is None else f"{self.cycles:,}"
        ran = f"device {self.device}: calls {self.calls}, runs of the core {self.runs}, "
        lines = [f"{ran}cycles {cycles}, bytes through its port {self.moved_bytes:,}"]
        lines.append(str(self.parts))
        lines += [f"stack {number}: {plan}" for number, plan in enumerate(self.plans)]
        lines += map(self._line, self.signals)
        lines += [
            f"{name}: not compared with float, where it has another shape, which depends on values"
            for name in self.uncompared
        ]
        return "\n".join([*lines, str(self.accuracy)])

    def _line(self, one: Signal) -> str:
        """Return what is said of a tensor."""
        if not self.on_core:
            return f"{one.name}: not compared; the host computes all of it, in float"
        if math.isinf(one.decibels):
            return f"{one.name}: the same numbers as the host computes in float"
        return f"{one.name}: {one.decibels:.1f} dB, worst cosine {one.cosine:.5f} to float"
