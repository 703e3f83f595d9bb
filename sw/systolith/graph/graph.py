"""Graphs of operators on named tensors.

Operators and their attributes are those of ONNX, version 13 and later, with a few of our own
(:mod:`systolith.graph.operators.fused`). Every front end makes such a graph, and everything behind
it works on one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RUNTIMES", "Dimension", "Graph", "GraphError", "Node", "TensorType"]

RUNTIMES = ("onnxruntime", "torch")
"""Operators of nodes that keep what the model had, for the package of that name to compute."""

Dimension = int | str
"""A number, or the name of one that each run may choose, such as "batch"."""


class GraphError(ValueError):
    """A model that cannot be used; the sentence names the node or the tensor."""


@dataclass(frozen=True)
class TensorType:
    """What is known of a tensor before a run.

    Parameters
    ----------
    dtype : numpy.dtype
    shape : tuple of int or str
    """

    dtype: np.dtype
    shape: tuple[Dimension, ...]

    def __str__(self) -> str:
        """Return type and shape as text."""
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Node:
    """One operation.

    Parameters
    ----------
    operator : str
    inputs : tuple of str
        Names of tensors; empty for an optional one that is not there.
    outputs : tuple of str
    attributes : dict
        Numbers, strings, and sequences of them. One of :data:`RUNTIMES` has the model's operator
        as ``kind``, and what else its package needs (:mod:`systolith.graph.onnx_node`,
        :mod:`systolith.graph.torch_node`).
    name : str
        For messages; by default that of the first output.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __str__(self) -> str:
        """Return what messages call it."""
        return f"node {self.name or self.outputs[0]} ({self.kind})"

    @property
    def kind(self) -> str:
        """The operator as the model calls it."""
        return self.attributes["kind"] if self.operator in RUNTIMES else self.operator

    @property
    def output(self) -> str:
        """The first output, of most operators the only one."""
        return self.outputs[0]


@dataclass
class Graph:
    """A model.

    Parameters
    ----------
    inputs : dict of TensorType
        What each run brings.
    outputs : list of str
    constants : dict of arrays
        Weights, and whatever else is known.
    nodes : list of Node
        Each behind those whose outputs it takes.
    types : dict of TensorType
        Of all tensors, as :func:`systolith.graph.shapes.infer` finds them.
    """

    inputs: dict[str, TensorType]
    outputs: list[str]
    constants: dict[str, NDArray]
    nodes: list[Node]
    types: dict[str, TensorType] = field(default_factory=dict)

    def copy(self) -> "Graph":
        """Return a graph of its own, of the same arrays."""
        return Graph(dict(self.inputs), list(self.outputs), dict(self.constants),
                     list(self.nodes), dict(self.types))  # fmt: skip

    def check(self) -> None:
        """Refuse a graph in which something is not defined, or twice.

        Raises
        ------
        GraphError
        """
        known = {"", *self.inputs, *self.constants}
        for node in self.nodes:
            for name in node.inputs:
                if name not in known:
                    raise GraphError(
                        f"{node} takes {name}, which nothing before it makes; the file is damaged, "
                        "or its nodes are not in order"
                    )
            for name in node.outputs:
                if name and name in known:
                    raise GraphError(f"{node} makes {name}, which there is already")
                known.add(name)
        for name in self.outputs:
            if name not in known:
                raise GraphError(f"the model's output {name} is made by no node")

    def fresh(self, stem: str) -> str:
        """Return a name that no tensor has yet."""
        taken = {name for node in self.nodes for name in node.outputs}
        taken |= self.constants.keys() | self.inputs.keys()
        number = 0
        while (name := f"{stem}.{number}") in taken:
            number += 1
        return name

    def constant(self, name: str) -> NDArray | None:
        """Return the value of a tensor that is the same in each run; otherwise None."""
        return self.constants.get(name)

    def add_constant(self, stem: str, value: NDArray) -> str:
        """Add a constant, and return its name."""
        name = self.fresh(stem)
        self.constants[name] = value
        return name

    def replace(self, old: Node, new: Sequence[Node]) -> None:
        """Put nodes in the place of one; they make all that others take of it."""
        at = next(index for index, node in enumerate(self.nodes) if node is old)
        self.nodes[at : at + 1] = new

    def rename(self, old: str, new: str) -> None:
        """Let all that take the tensor ``old`` take ``new``."""
        self.nodes = [
            Node(node.operator, tuple(new if name == old else name for name in node.inputs),
                 node.outputs, node.attributes, node.name)
            if old in node.inputs else node
            for node in self.nodes
        ]  # fmt: skip
        self.outputs = [new if name == old else name for name in self.outputs]
