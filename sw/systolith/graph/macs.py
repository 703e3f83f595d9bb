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
    if node.operator == "Einsum":
        return _einsum(node.attributes["equation"], out, [shapes[name] for name in node.inputs])
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


def _einsum(equation: str, out: tuple[int, ...], arrays: list[tuple[int, ...]]) -> int:
    """Return those of a sum over the letters that the result lacks; without sums it is none."""
    taken, _, made = equation.replace(" ", "").partition("->")
    terms = taken.split(",")
    summed: dict[str, int] = {}
    for term, shape in zip(terms, arrays, strict=True):
        before, _, behind = term.partition("...")
        sizes = shape[:len(before)] + (shape[-len(behind):] if behind else ())
        summed |= {letter: size for letter, size in zip(before + behind, sizes, strict=True)
                   if letter not in (made or _written_once(taken))}  # fmt: skip
    return math.prod(out) * math.prod(summed.values()) if summed and len(terms) > 1 else 0


def _written_once(taken: str) -> str:
    """Return the letters of the result of an equation that does not name it."""
    return "".join(letter for letter in taken if taken.count(letter) == 1)


def _attention(out: tuple[int, ...], keys: tuple[int, ...]) -> int:
    """Return those of scores and context."""
    return 2 * math.prod(out) * keys[1]
