"""Compute once what is computed several times, as masks are that each layer makes anew."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph import Graph, Node

__all__ = ["merge_duplicates"]

SMALL = 64
"""Elements of constants that are compared."""


def merge_duplicates(graph: Graph) -> int:
    """Let all take the first of tensors that are equal; return how many nodes that leaves over."""
    seen: dict[Any, Node] = {}
    names = _equal_constants(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(names.get(name, name) for name in node.inputs)
        key = (node.operator, inputs, len(node.outputs), _text(node.attributes))
        first = seen.get(key)
        if first is None or set(node.outputs) & set(graph.outputs):
            node = Node(node.operator, inputs, node.outputs, node.attributes, node.name)
            seen.setdefault(key, node)
            nodes.append(node)
        else:
            names.update(zip(node.outputs, first.outputs, strict=True))
    count = len(graph.nodes) - len(nodes)
    graph.nodes = nodes
    return count


def _equal_constants(graph: Graph) -> dict[str, str]:
    """Return for each small constant the name of the first one like it."""
    first: dict[Any, str] = {}
    return {
        name: first.setdefault((value.dtype.str, value.shape, value.tobytes()), name)
        for name, value in graph.constants.items() if value.size <= SMALL
    }  # fmt: skip


def _text(attributes: Any) -> str:
    """Return attributes as text that is the same for equal ones."""
    def written(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            array: NDArray = value
            return array.dtype.str, array.shape, array.tobytes()
        return value

    return repr(sorted((name, written(value)) for name, value in attributes.items()))
