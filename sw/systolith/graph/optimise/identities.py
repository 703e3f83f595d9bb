"""Drop nodes that change nothing."""

import numpy as np

from ..graph import Graph, Node
from .links import Links

__all__ = ["drop_identities"]

NEUTRAL = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0}
"""With what in the second place a node changes nothing; in the first, too, if it commutes."""


def drop_identities(graph: Graph) -> int:
    """Let all take what such a node takes; two transpositions that undo each other go, too."""
    links, count = Links(graph), 0
    names: dict[str, str] = {}
    for node in list(graph.nodes):
        source = _source(links, node)
        if source is None or node.output in graph.outputs:
            continue
        names[node.output] = source = names.get(source, source)
        graph.rename(node.output, source)
        count += 1
    return count


def _source(links: Links, node: Node) -> str | None:
    """Return the tensor whose copy a node makes."""
    kinds = links.graph.types
    first = node.inputs[0] if node.inputs else ""
    kind = kinds.get(first)
    same = kind is not None and kinds.get(node.output) == kind and "?" not in kind.shape
    if node.operator in ("Identity", "Dropout"):
        return first
    if node.operator in ("Cast", "Reshape", "Expand", "Squeeze", "Unsqueeze", "Flatten") and same:
        return first
    if node.operator == "Slice" and same and _forwards(links, node):
        return first
    if node.operator == "Transpose":
        return _untransposed(links, node)
    if node.operator in NEUTRAL:
        return _unchanged(links, node)
    return None


def _forwards(links: Links, node: Node) -> bool:
    """Whether a slice takes every element in turn: if it leaves sizes as they are, it takes all."""
    steps = links.constant(node.inputs[4]) if len(node.inputs) > 4 else np.ones(1)
    return steps is not None and bool(np.all(steps == 1))


def _untransposed(links: Links, node: Node) -> str | None:
    order = node.attributes.get("perm")
    if order is None:
        return None
    if list(order) == sorted(order):
        return node.inputs[0]
    before = links.maker(node.inputs[0], "Transpose")
    if before and before.attributes.get("perm"):
        if [before.attributes["perm"][place] for place in order] == sorted(order):
            return before.inputs[0]
    return None


def _unchanged(links: Links, node: Node) -> str | None:
    kinds = links.graph.types
    found = links.with_constant(node)
    if found is None or (node.operator in ("Sub", "Div") and found[0] != node.inputs[0]):
        return None
    name, value = found
    neutral = bool(np.all(value == NEUTRAL[node.operator]))
    return name if neutral and kinds.get(name) == kinds.get(node.output) else None
