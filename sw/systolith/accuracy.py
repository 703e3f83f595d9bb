"""How close the core's numbers come to float: tensors, and the layers of a stack one by one."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config
from systolith_hw.tables import FRACTION
from systolith_sim.transformer.model import EncoderModel

from .graph import Graph, Node
from .graph.executor import run_node
from .graph.tree import text
from .stack import state_words

__all__ = ["Accuracy", "LayerSignal", "Signal", "measure_layers"]

MOST_SENTENCES = 4
"""Sentences on which layers are measured: golden models take their time."""

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
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
        """Compare a tensor with float's, all of it; rows that are zero in both are equal."""
        got, want = np.atleast_2d(got).astype(np.float64), np.atleast_2d(want).astype(np.float64)
        got, want = got.reshape(-1, got.shape[-1]), want.reshape(-1, want.shape[-1])
        noise, signal = float(((got - want) ** 2).sum()), float((want**2).sum())
        lengths = np.linalg.norm(got, axis=-1) * np.linalg.norm(want, axis=-1)
        cosines = (got * want).sum(axis=-1) / np.where(lengths > 0, lengths, 1.0)
        cosines[~got.any(axis=-1) & ~want.any(axis=-1)] = 1.0
        decibels = 10 * np.log10(signal / noise) if noise and signal else np.inf
        return cls(name=name, decibels=float(decibels), cosine=float(cosines.min(initial=1.0)))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, which knows no infinity."""
        return {name: _finite(value) for name, value in dataclasses.asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class LayerSignal(Signal):
    """How close a layer on the core comes to float: behind it, with the noise of all before it.

    Parameters
    ----------
    own : float
        Decibels of the layer alone: float's layer is given what the core's was.
    """

    own: float

    @classmethod
    def of(cls, name: str, got: NDArray, want: NDArray, alone: NDArray) -> "LayerSignal":
        """Compare a layer with float's, and with float's of what the core's was given."""
        behind, own = Signal.measure(name, got, want), Signal.measure(name, got, alone)
        return cls(name=name, decibels=behind.decibels, cosine=behind.cosine, own=own.decibels)


@dataclass(frozen=True)
class Accuracy:
    """How close all layers come to float, on typical inputs.

    Parameters
    ----------
    layers : list of LayerSignal
        Of all stacks, in their order.
    """

    layers: list[LayerSignal] = field(default_factory=list)

    @property
    def worst(self) -> LayerSignal | None:
        """The layer that adds most noise; nothing if there are none."""
        return min(self.layers, key=lambda layer: layer.own, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "layers": [layer.to_dict() for layer in self.layers],
            "worst_layer": self.worst and self.worst.name,
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Accuracy":
        """Return what :meth:`to_dict` was made of.

        Raises
        ------
        LookupError, TypeError, ValueError
            If it is no such tree.
        """
        return cls([
            LayerSignal(name=text(layer["name"]), **{
                name: np.inf if layer[name] is None else float(layer[name])
                for name in ("decibels", "own", "cosine")
            })
            for layer in tree["layers"]
        ])  # fmt: skip

    def __str__(self) -> str:
        """Return it as lines of text."""
        if self.worst is None:
            return "no layers on the core"
        lines = ["layers on the inputs of compilation, against float:"]
        lines += [
            f"  {one.name}: {one.decibels:.1f} dB, alone {one.own:.1f} dB, worst cosine "
            f"{one.cosine:.5f}"
            for one in self.layers
        ]
        return "\n".join([*lines, f"  most noise is added by {self.worst.name}"])


def measure_layers(
    config: Config, graph: Graph, nodes: Sequence[Node], model: EncoderModel,
    sentences: Sequence[Floats], first: int = 0,
) -> list[LayerSignal]:  # fmt: skip
    """Compare layers in integers with the same in float.

    Parameters
    ----------
    config : Config
    graph : Graph
        Has the weights of nodes.
    nodes : sequence of Node
        The layers in float.
    model : EncoderModel
        The same in integers, of which machine and hardware have every bit.
    sentences : sequence of (S, D) floats
        What goes in; of many only the first few are measured.
    first : int
        Number of the first layer.
    """
    runs = [_run(config, graph, nodes, model, x) for x in sentences[:MOST_SENTENCES]]
    signals = []
    for number, node in enumerate(nodes):
        name = f"layer {first + number} ({node.name or node.output})"
        got, want, alone = (np.concatenate(parts) for parts in zip(
            *(run[number] for run in runs), strict=True))  # fmt: skip
        signals.append(LayerSignal.of(name, got, want, alone))
    return signals


def _run(
    config: Config, graph: Graph, nodes: Sequence[Node], model: EncoderModel, x: Floats
) -> list[tuple[Floats, Floats, Floats]]:
    """Return of each layer the integers' states, float's, and float's from the integers."""
    states = _integers(config, model, x)
    before, layers = next(states), []
    for node, after in zip(nodes, states, strict=True):
        x = _layer(graph, node, x)
        layers.append((after, x, _layer(graph, node, before.astype(x.dtype))))
        before = after
    return layers


def _integers(config: Config, model: EncoderModel, x: Floats) -> Iterator[Floats]:
    """Yield the states in front of the first layer and behind each."""
    words, rest = state_words(config.array, x, model.base)
    own = dataclasses.replace(model, words=words, positions=rest)
    for state in own.states(config.array, range(len(x))):
        yield np.ldexp(state.astype(np.float64), -FRACTION)


def _layer(graph: Graph, node: Node, x: Floats) -> Floats:
    """Return a sentence (S, D) behind a layer in float."""
    weights = [graph.constants[name] for name in node.inputs[2:]]
    return run_node(node, [x[None], None, *weights])[0][0]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
