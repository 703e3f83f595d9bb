"""GELU, SiLU and ReLU in any spelling: element-wise operators of one tensor that equal them.

What such nodes compute together is compared with the functions on a grid.
"""

import numpy as np

from ..executor import needed, run
from ..graph import Graph, GraphError, Node
from ..operators import OPERATORS
from ..operators.elementwise import ELEMENTWISE
from .links import Links, rewrite_nodes

__all__ = ["fuse_activation"]

ENDS = {"Mul", "Div", "Max", "Clip", "Where"}
"""What the last node of an activation may be."""

MOST = 12
"""Nodes of an activation."""

GRID = np.linspace(-9, 9, 257, dtype=np.float32)

CLOSE = 2e-6
"""How far values on the grid may be apart: rounding in float32, but not another function."""

KNOWN: tuple[tuple[str, dict[str, str]], ...] = (
    ("Gelu", {}), ("Gelu", {"approximate": "tanh"}), ("Silu", {}), ("Relu", {}),
)  # fmt: skip


def fuse_activation(graph: Graph) -> int:
    """Put one node in the place of each activation."""
    return rewrite_nodes(graph, _activation)


def _activation(links: Links, node: Node) -> list[Node] | None:
    if node.operator not in ENDS:
        return None
    for source in _sources(links, node):
        found = _function(links, node, source)
        if found:
            return [Node(found[0], (source,), node.outputs, found[1], node.name)]
    return None


def _sources(links: Links, node: Node) -> list[str]:
    """Return tensors of which a node may be a function, the nearest first."""
    found: list[str] = []
    waiting = list(node.inputs)
    while waiting and len(found) < MOST:
        name = waiting.pop(0)
        if not name or links.constant(name) is not None or name in found:
            continue
        found.append(name)
        maker = links.maker(name, *ELEMENTWISE)
        waiting += maker.inputs if maker else ()
    return found


def _function(links: Links, node: Node, source: str) -> tuple[str, dict[str, str]] | None:
    """Return operator and attributes of the activation that leads from one tensor to a node."""
    graph = links.graph
    nodes = needed(graph, {source, *graph.constants}, [node.output])
    inside = {name for one in nodes for name in one.outputs} | graph.constants.keys() | {"", source}
    closed = all(name in inside for one in nodes for name in one.inputs)
    if len(nodes) > MOST or not closed or any(one.operator not in ELEMENTWISE for one in nodes):
        return None
    try:
        got = run(graph, {source: GRID}, [node.output])[node.output]
    except GraphError:  # constants of another shape
        return None
    for operator, attributes in KNOWN:
        want = OPERATORS[operator](attributes, GRID)
        if got.shape == want.shape and np.abs(got - want).max() < CLOSE:
            return operator, attributes
    return None
