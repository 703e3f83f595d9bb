"""LayerNorm and RMSNorm from their means, squares and roots."""

import numpy as np

from ..graph import Graph, Node
from .links import Links, rewrite_nodes

__all__ = ["fuse_normalization"]

NORMS = ("LayerNormalization", "RMSNormalization")


def fuse_normalization(graph: Graph) -> int:
    """Turn what divides by a deviation into a norm, which then takes up gamma and beta."""
    return rewrite_nodes(
        graph,
        lambda links, node: (
            _division(links, node) or _join(links, node, "Mul") or _join(links, node, "Add")
        ),
    )


def _division(links: Links, node: Node) -> list[Node] | None:
    """Match ``c / sqrt(mean(c**2) + epsilon)``; of c = x - mean(x) it is a LayerNorm's."""
    if node.operator not in ("Div", "Mul"):
        return None
    orders = (node.inputs,) if node.operator == "Div" else (node.inputs, node.inputs[::-1])
    for centred, other in orders:
        found = _variance(links, other, 0.5) if node.operator == "Div" else _inverse(links, other)
        if found is None or found[0] != centred:
            continue
        x = _uncentred(links, centred)
        operator = "RMSNormalization" if x is None else "LayerNormalization"
        ones = np.ones(links.values[centred].shape[-1], np.float32)
        gamma = links.graph.add_constant(f"{node.output}.gamma", ones)
        attributes = {"axis": -1, "epsilon": found[1]}
        fused = Node(operator, (x or centred, gamma), node.outputs, attributes, node.name)
        links.makers[node.output] = fused
        return [fused]
    return None


def _inverse(links: Links, name: str) -> tuple[str, float] | None:
    """Return c and epsilon, if a tensor is ``1 / sqrt(mean(c**2) + epsilon)``."""
    node = links.maker(name, "Reciprocal", "Div")
    if node is None:
        return _variance(links, name, -0.5)
    if node.operator == "Div" and links.scalar(node.inputs[0]) != 1.0:
        return None
    return _variance(links, node.inputs[-1], 0.5)


def _variance(links: Links, name: str, power: float) -> tuple[str, float] | None:
    """Return c and epsilon, if a tensor is ``(mean(c**2) + epsilon) ** power``."""
    root = links.maker(name, "Sqrt", "Pow")
    if root is None:
        return None
    if (0.5 if root.operator == "Sqrt" else links.scalar(root.inputs[1])) != power:
        return None
    total = links.maker(root.inputs[0], "Add")
    found = links.with_constant(total) if total else None
    if found is None or found[1].size != 1:
        return None
    mean = _mean_source(links, found[0])
    square = links.maker(mean, "Pow", "Mul") if mean else None
    if square is None:
        return None
    squared = square.inputs[0] == square.inputs[1]
    if square.operator == "Pow":
        squared = links.scalar(square.inputs[1]) == 2.0
    return (square.inputs[0], float(found[1].reshape(-1)[0])) if squared else None


def _uncentred(links: Links, name: str) -> str | None:
    """Return x, if a tensor is ``x - mean(x)``."""
    node = links.maker(name, "Sub")
    if node and _mean_source(links, node.inputs[1]) == node.inputs[0]:
        return node.inputs[0]
    return None


def _mean_source(links: Links, name: str) -> str | None:
    """Return that whose mean over the last axis a tensor is."""
    node = links.maker(name, "ReduceMean")
    if node is None:
        return None
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:
        axes = links.constant(node.inputs[1])
    last = links.values[node.inputs[0]].ndim - 1
    one = axes is not None and [int(axis) % (last + 1) for axis in np.reshape(axes, -1)] == [last]
    return node.inputs[0] if one and node.attributes.get("keepdims", 1) else None


def _join(links: Links, node: Node, operator: str) -> list[Node] | None:
    """Match a norm times a constant row, or plus one."""
    found = links.with_constant(node) if node.operator == operator else None
    norm = links.maker(found[0], *NORMS) if found else None
    if found is None or norm is None or links.only_taker(norm.output) is not node:
        return None
    gamma, beta = [links.constant(name) for name in (*norm.inputs[1:], "", "")[:2]]
    row, width = found[1], links.values[norm.output].shape[-1]
    if gamma is None or row.size not in (1, width) or (row.ndim and row.shape[-1] != row.size):
        return None
    row = np.broadcast_to(row.reshape(-1), (width,))
    if operator == "Mul":
        parts = [gamma * row] if beta is None else [gamma * row, beta * row]
    elif norm.operator == "RMSNormalization":
        return None
    else:
        parts = [gamma, row if beta is None else beta + row]
    names = [links.graph.add_constant(f"{node.output}.{part}", value.astype(gamma.dtype))
             for part, value in zip(("gamma", "beta"), parts, strict=False)]  # fmt: skip
    fused = Node(norm.operator, (norm.inputs[0], *names), node.outputs, norm.attributes, node.name)
    links.makers[node.output] = fused
    return [fused]
