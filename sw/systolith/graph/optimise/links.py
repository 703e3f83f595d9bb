"""Who makes and who takes each tensor, and what the tensors are in a run of random inputs."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..graph import Graph, Node
from ..shapes import probe

__all__ = ["LAYOUT", "Links", "close", "near", "rewrite_nodes"]

LAYOUT = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity"}
"""Operators that move elements, and keep each of them."""

TOLERANCE = 1e-4
"""Of the root of the mean square, by which rewriting may change values: rounding in float32."""


STEP_NOISE = 0.02
"""Of the root of the mean square, by which steps of 8 bits may."""


def close(got: NDArray, want: NDArray) -> bool:
    """Return whether two arrays are the same but for rounding."""
    if got.shape != want.shape:
        return False
    got, want = np.nan_to_num(got.astype(np.float64)), np.nan_to_num(want.astype(np.float64))
    size = float(np.sqrt(np.mean(want**2))) if want.size else 0.0
    return bool(np.abs(got - want).max(initial=0.0) <= TOLERANCE * max(size, 1e-6))


def near(got: NDArray, want: NDArray) -> bool:
    """Return whether two arrays are the same but for a few steps of rounding to 8 bits."""
    if got.shape != want.shape:
        return False
    got, want = np.nan_to_num(got.astype(np.float64)), np.nan_to_num(want.astype(np.float64))
    return bool(((got - want) ** 2).sum() <= STEP_NOISE**2 * max((want**2).sum(), 1e-12))


class Links:
    """A graph that is searched for patterns.

    Parameters
    ----------
    graph : Graph

    Attributes
    ----------
    makers : dict of Node
        By the tensors that they make.
    takers : dict of list of Node
        By the tensors that they take.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.makers = {name: node for node in graph.nodes for name in node.outputs if name}
        self.takers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in dict.fromkeys(node.inputs):
                self.takers.setdefault(name, []).append(node)
        self._values: dict[str, NDArray] | None = None

    @property
    def values(self) -> dict[str, NDArray]:
        """Every tensor in a run of random inputs, against which a match is tried."""
        if self._values is None:
            self._values = probe(self.graph)
        return self._values

    def maker(self, name: str, *operators: str) -> Node | None:
        """Return the node that makes a tensor, if it is one of the operators."""
        node = self.makers.get(name)
        return node if node and (not operators or node.operator in operators) else None

    def only_taker(self, name: str) -> Node | None:
        """Return the node that takes a tensor, if it is the only one, and no output."""
        takers = self.takers.get(name, [])
        return takers[0] if len(takers) == 1 and name not in self.graph.outputs else None

    def constant(self, name: str) -> NDArray | None:
        """Return the value of a constant."""
        return self.graph.constants.get(name)

    def scalar(self, name: str) -> float | None:
        """Return the value of a constant of one element."""
        value = self.constant(name)
        return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None

    def with_constant(self, node: Node) -> tuple[str, NDArray] | None:
        """Return the input that is no constant, and the one that is, of a node with one of each."""
        if len(node.inputs) == 2:
            for one, other in (node.inputs, node.inputs[::-1]):
                value = self.constant(other)
                if value is not None and self.constant(one) is None:
                    return one, value
        return None

    def behind(self, name: str, operators: set[str] = LAYOUT) -> str:
        """Return the tensor that some operators made this one of, going back over them."""
        while node := self.maker(name, *operators):
            name = node.inputs[0]
        return name


def rewrite_nodes(
    graph: Graph, match: Callable[[Links, Node], Sequence[Node] | None]
) -> int:
    """Put what ``match`` returns in the place of each node; return how many were replaced."""
    links, count = Links(graph), 0
    for node in list(graph.nodes):
        new = match(links, node)
        if new is not None:
            graph.replace(node, new)
            count += 1
    return count
