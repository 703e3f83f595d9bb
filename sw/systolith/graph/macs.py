"""How many multiplications of matrices the nodes of a graph need."""

import math
from collections.abc import Mapping

from .graph import Node

__all__ = ["node_macs"]

Shapes = Mapping[str, tuple[int, ...]]


def node_macs(node: Node, shapes: Shapes) -> int:
    """Return a node's multiplications for tensors of these shapes; of what is no matrix, none."""
    out = shapes[node.output]
    if node.operator in ("MatMul", "Linear", "Gemm"):
        first = shapes[node.inputs[0]]
        inner = first[0] if node.attributes.get("transA", 0) else first[-1]
        return math.prod(out) * inner
    if node.operator == "Conv":
        return math.prod(out) * math.prod(shapes[node.inputs[1]][1:])
    if node.operator == "MultiHeadAttention":
        return _attention(out, shapes[node.inputs[1]])
    if node.operator == "CausalAttention":
        return _attention(out, out)
    if node.operator == "DecoderLayer":
        weights = sum(math.prod(shapes[name]) for name in node.inputs[1:] if len(shapes[name]) > 1)
        width = shapes[node.inputs[2]][1]
        return math.prod(out[:2]) * weights + _attention((*out[:2], width), out)
    if node.operator == "EncoderLayer":
        batch, tokens, features = out
        hidden = shapes[node.inputs[10]][1]
        matrices = 4 * features**2 + 2 * features * hidden
        return batch * tokens * matrices + _attention(out, out)
    return 0


def _attention(out: tuple[int, ...], keys: tuple[int, ...]) -> int:
    """Return those of scores and context."""
    return 2 * math.prod(out) * keys[1]
