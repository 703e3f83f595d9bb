"""How many multiplications of matrices the nodes of a graph need."""

import math
from collections.abc import Mapping

from .graph import Node, TensorType

__all__ = ["node_macs"]

Shapes = Mapping[str, tuple[int, ...]]


WINDOWS = {"Conv": 1, "ConvInteger": 1, "DeformConv": 1, "QLinearConv": 3}
"""Convolutions by the input that is the weights."""


def node_macs(
    node: Node, shapes: Shapes, types: Mapping[str, TensorType] | None = None
) -> int | None:
    """Return a node's multiplications for tensors of these shapes; of what is no matrix, none.

    None is for operators of which nothing is known, as those of others' domains. Nodes for torch
    have those that its own counter, ``torch.utils.flop_counter``, tells; they need ``types``.
    """
    if node.operator == "torch":
        from .torch_node import torch_macs

        return torch_macs(node, shapes, types or {})
    if node.attributes.get("domain"):
        return None
    kind = node.kind
    out = shapes[node.output]
    if kind in ("MatMul", "Linear", "Gemm", "MatMulInteger", "QLinearMatMul"):
        first = shapes[node.inputs[0]]
        inner = first[0] if node.attributes.get("transA", 0) else first[-1]
        return math.prod(out) * inner
    if kind in WINDOWS:
        return math.prod(out) * math.prod(shapes[node.inputs[WINDOWS[kind]]][1:])
    if kind == "ConvTranspose":
        return math.prod(shapes[node.inputs[0]]) * math.prod(shapes[node.inputs[1]][1:])
    if kind in ("LSTM", "GRU", "RNN"):
        weights = sum(math.prod(shapes[name]) for name in node.inputs[1:3])
        return math.prod(shapes[node.inputs[0]][:2]) * weights
    if kind == "Einsum":
        return _einsum(node.attributes["equation"], out, [shapes[name] for name in node.inputs])
    if kind == "Attention":
        queries, keys = (shapes[name] for name in node.inputs[:2])
        return (math.prod(queries) + math.prod(out)) * keys[-2]
    if kind == "MultiHeadAttention":
        return _attention(out, shapes[node.inputs[1]])
    if kind == "CausalAttention":
        return _attention(out, out)
    if kind == "DecoderLayer":
        weights = sum(math.prod(shapes[name]) for name in node.inputs[1:] if len(shapes[name]) > 1)
        width = shapes[node.inputs[2]][1]
        return math.prod(out[:2]) * weights + _attention((*out[:2], width), out)
    if kind == "EncoderLayer":
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
