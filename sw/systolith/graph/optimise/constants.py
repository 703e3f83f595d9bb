"""Compute what is the same in each run."""

from collections import Counter

import numpy as np

from ..executor import can_run, run_node
from ..graph import Graph, Node

__all__ = ["fold_constants"]


def fold_constants(graph: Graph) -> int:
    """Turn nodes into constants: those of constants alone, and shapes that do not change.

    Constants that nobody takes any more are dropped at once, since weights come through several.
    """
    rest = []
    uses = Counter(name for node in graph.nodes for name in node.inputs)
    uses.update(graph.outputs)
    for node in graph.nodes:
        values = _values(graph, node)
        if values is None:
            rest.append(node)
            continue
        graph.constants.update(zip(node.outputs, values, strict=False))
        uses.subtract(node.inputs)
        for name in node.inputs:
            if uses[name] == 0:
                graph.constants.pop(name, None)
    count = len(graph.nodes) - len(rest)
    graph.nodes = rest
    return count


def _values(graph: Graph, node: Node) -> tuple[np.ndarray, ...] | None:
    """Return a node's outputs if they are the same in each run."""
    if node.operator == "Shape" and node.inputs[0] in graph.types:
        part = slice(node.attributes.get("start", 0), node.attributes.get("end"))
        shape = graph.types[node.inputs[0]].shape[part]
        if all(isinstance(size, int) for size in shape):
            return (np.array(shape, np.int64),)
    known = all(not name or name in graph.constants for name in node.inputs)
    if not known or not can_run(node):
        return None
    return run_node(node, [graph.constants[name] if name else None for name in node.inputs])
