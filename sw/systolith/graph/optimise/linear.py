"""Products with weights that are constant, with bias and scale, as one node.

``Linear`` takes x (..., K), weights (K, N) and maybe a bias (N,).
"""

import numpy as np
from numpy.typing import NDArray

from ..graph import Graph, Node
from .links import Links, rewrite_nodes

__all__ = ["fuse_linear"]


def fuse_linear(graph: Graph) -> int:
    """Turn MatMul and Gemm into Linear, which takes up additions and factors behind it."""
    return rewrite_nodes(
        graph,
        lambda links, node: _product(links, node) or _bias(links, node) or _scale(links, node),
    )


def _product(links: Links, node: Node) -> list[Node] | None:
    """Match a product, and a Gemm without factors."""
    if node.operator not in ("MatMul", "Gemm"):
        return None
    weights = links.constant(node.inputs[1])
    bias = links.constant(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(0)
    plain = all(node.attributes.get(name, 1.0) == 1.0 for name in ("alpha", "beta"))
    if weights is None or weights.ndim != 2 or bias is None or not plain:
        return None
    if links.constant(node.inputs[0]) is not None or node.attributes.get("transA", 0):
        return None
    if node.attributes.get("transB", 0):
        weights = np.ascontiguousarray(weights.T)
    values = [weights]
    if bias.size:
        values.append(np.broadcast_to(bias.reshape(-1), weights.shape[1:]))
    return [_linear(links, node, node.inputs[0], *values)]


def _bias(links: Links, node: Node) -> list[Node] | None:
    """Match the addition of a constant to each row of a Linear."""
    found = links.with_constant(node) if node.operator == "Add" else None
    linear = links.maker(found[0], "Linear") if found else None
    if found is None or linear is None:
        return None
    weights, bias = _parameters(links, linear)
    row = _row(found[1], weights.shape[1])
    return None if row is None else [_linear(links, node, linear.inputs[0], weights, bias + row)]


def _scale(links: Links, node: Node) -> list[Node] | None:
    """Match a factor of each column of a Linear that nobody else takes."""
    found = links.with_constant(node) if node.operator in ("Mul", "Div") else None
    linear = links.maker(found[0], "Linear") if found else None
    if found is None or linear is None or links.only_taker(linear.output) is not node:
        return None
    weights, bias = _parameters(links, linear)
    row = _row(found[1], weights.shape[1])
    if row is None or (node.operator == "Div" and found[0] != node.inputs[0]):
        return None
    row = 1 / row if node.operator == "Div" else row
    return [_linear(links, node, linear.inputs[0], weights * row, bias * row)]


def _row(value: NDArray, channels: int) -> NDArray | None:
    """Return a number for each channel, if a constant is that."""
    if value.size == 1 or (value.size == channels and value.shape[-1] == channels):
        return np.broadcast_to(value.reshape(-1), (channels,)).astype(value.dtype)
    return None


def _parameters(links: Links, linear: Node) -> tuple[NDArray, NDArray]:
    weights = links.graph.constants[linear.inputs[1]]
    if len(linear.inputs) > 2:
        return weights, links.graph.constants[linear.inputs[2]]
    return weights, np.zeros(weights.shape[1], weights.dtype)


def _linear(links: Links, node: Node, x: str, *parameters: NDArray) -> Node:
    """Return a Linear that makes what ``node`` does."""
    names = [
        links.graph.add_constant(f"{node.output}.{part}", np.asarray(value, value.dtype))
        for part, value in zip(("weights", "bias"), parameters, strict=False)
    ]
    linear = Node("Linear", (x, *names), node.outputs, {}, node.name)
    links.makers[node.output] = linear
    return linear
