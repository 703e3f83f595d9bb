"""What stands between the product of queries and keys, and the weights of attention."""

from dataclasses import dataclass, field

import numpy as np

from ..graph import Node
from .links import Links

__all__ = ["Scores", "find_scores", "find_softmax"]


@dataclass
class Scores:
    """What is done to products of queries and keys before Softmax.

    Parameters
    ----------
    product : Node
    factor : float
    mask : str
        The tensor that is added; empty if there is none.
    nodes : list of Node
        What makes the mask, if that is not in the graph yet.
    """

    product: Node
    factor: float
    mask: str
    nodes: list[Node] = field(default_factory=list)


def find_softmax(links: Links, name: str) -> tuple[Node, str] | None:
    """Return the Softmax that makes weights, and which are zero (``zeros`` of attention)."""
    node, zeros = links.maker(name, "Where", "Softmax", "Dropout", "Cast"), ""
    while node and node.operator != "Softmax":
        inner = node.inputs[0]
        if node.operator == "Where":
            inner, zeros = node.inputs[2], _zeros(links, node)
            if not zeros:
                return None
        node = links.maker(inner, "Where", "Softmax", "Dropout", "Cast")
    if node is None:
        return None
    last = node.attributes.get("axis", -1) in (-1, links.values[node.output].ndim - 1)
    return (node, zeros) if last else None


def _zeros(links: Links, node: Node) -> str:
    """Return which weights are zero by a choice between zero and what Softmax makes."""
    test, zero, weights = node.inputs
    maker, softmax = links.maker(test, "IsNaN", "Equal"), links.maker(weights, "Softmax")
    if maker is None or links.scalar(zero) != 0.0:
        return ""
    if maker.operator == "IsNaN":
        return "nan" if maker.inputs[0] == weights else ""
    most = links.maker(maker.inputs[0], "ReduceMax")
    lowest = links.scalar(maker.inputs[1]) == -np.inf
    same = softmax and most and most.inputs[0] == softmax.inputs[0]
    return "hidden" if same and lowest else ""


def find_scores(links: Links, softmax: Node) -> Scores | None:
    """Go back from Softmax to the product of queries and keys."""
    name, factor, mask = softmax.inputs[0], 1.0, ""
    nodes: list[Node] = []
    while (node := links.maker(name)) is not None:
        if node.operator == "MatMul":
            return Scores(node, factor, mask, nodes)
        found = links.with_constant(node)
        if node.operator in ("Mul", "Div") and found and found[1].size == 1:
            number = float(found[1].reshape(-1)[0])
            factor *= number if node.operator == "Mul" else 1 / number
            name = found[0]
        elif node.operator == "Add" and not mask and factor == 1.0:
            name, mask = _masked(links, node)
        elif node.operator == "Where" and not mask and factor == 1.0:
            name, mask = _chosen(links, node, nodes)
        else:
            return None
        if not name:
            return None
    return None


def _masked(links: Links, node: Node) -> tuple[str, str]:
    """Return scores and mask of their sum: the scores are what a product leads to."""
    for scores, mask in (node.inputs, node.inputs[::-1]):
        if links.maker(scores, "MatMul", "Mul", "Div"):
            shape, rank = links.values[mask].shape, links.values[scores].ndim
            if len(shape) <= rank and links.values[node.output].shape == links.values[scores].shape:
                return scores, mask
    return "", ""


def _chosen(links: Links, node: Node, nodes: list[Node]) -> tuple[str, str]:
    """Return scores and mask of a choice between them and a constant far below."""
    test, one, other = node.inputs
    for scores, low, order in ((one, other, (0, 1)), (other, one, (1, 0))):
        number = links.scalar(low)
        if number is not None and number < -1e3:
            zero = links.graph.add_constant(f"{node.output}.zero", np.zeros((), np.float32))
            choices = (zero, low)
            mask = links.graph.fresh(f"{node.output}.mask")
            nodes.append(Node("Where", (test, *(choices[place] for place in order)), (mask,)))
            return scores, mask
    return "", ""
