"""Layers of a Transformer encoder, norms first or last, as one node."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..executor import run_node
from ..graph import Graph, GraphError, Node
from ..operators.fused import LAYER_PARAMETERS
from .links import Links, close, rewrite_nodes

__all__ = ["fuse_encoder_layers"]

ACTIVATIONS = ("Gelu", "Silu", "Relu")


def fuse_encoder_layers(graph: Graph) -> int:
    """Put EncoderLayer in the place of each layer."""
    return rewrite_nodes(graph, _layer)


@dataclass
class Parts:
    """What a layer was found to be made of.

    Parameters
    ----------
    linears : dict of Node
    norms : dict of Node
    attention : Node
    x : str
        The layer's input.
    activation : Node
    norm_first : bool
    """

    linears: dict[str, Node]
    norms: dict[str, Node]
    attention: Node
    x: str
    activation: Node
    norm_first: bool


def _layer(links: Links, node: Node) -> list[Node] | None:
    parts = _behind_norm(links, node) if node.operator == "LayerNormalization" else None
    if node.operator == "Add":
        parts = _behind_sum(links, node)
    if parts is None:
        return None
    epsilons = [norm.attributes.get("epsilon", 1e-5) for norm in parts.norms.values()]
    if epsilons[0] != epsilons[1]:
        return None
    return _prove(links, node, parts, epsilons[0])


def _behind_norm(links: Links, node: Node) -> Parts | None:
    """Match norm(middle + feed_forward(middle)), middle = norm(x + attention(x))."""
    total = links.maker(links.behind(node.inputs[0]), "Add")
    for middle, forward in _feed_forwards(links, total):
        up, activation, down = forward
        norm = links.maker(middle, "LayerNormalization")
        if norm is None or links.behind(up.inputs[0]) != middle:
            continue
        inner = links.maker(links.behind(norm.inputs[0]), "Add")
        for x, output, attention in _attentions(links, inner):
            linears = _projections(links, attention, x)
            if linears:
                linears |= {"output": output, "up": up, "down": down}
                norms = {"attention_norm": norm, "output_norm": node}
                return Parts(linears, norms, attention, x, activation, False)
    return None


def _behind_sum(links: Links, node: Node) -> Parts | None:
    """Match middle + feed_forward(norm(middle)), middle = x + attention(norm(x))."""
    for middle, forward in _feed_forwards(links, node):
        up, activation, down = forward
        norm = links.maker(links.behind(up.inputs[0]), "LayerNormalization")
        if norm is None or links.behind(norm.inputs[0]) != middle:
            continue
        for x, output, attention in _attentions(links, links.maker(middle, "Add")):
            before = links.maker(_projected(links, attention), "LayerNormalization")
            if before is None or links.behind(before.inputs[0]) != x:
                continue
            linears = _projections(links, attention, before.output)
            if linears:
                linears |= {"output": output, "up": up, "down": down}
                norms = {"attention_norm": before, "output_norm": norm}
                return Parts(linears, norms, attention, x, activation, True)
    return None


def _feed_forwards(
    links: Links, total: Node | None
) -> Iterator[tuple[str, tuple[Node, Node, Node]]]:
    """Yield residual, and up, activation, down, of a sum of both."""
    for one, other in _operands(total):
        down = links.maker(links.behind(other), "Linear")
        activation = down and links.maker(links.behind(down.inputs[0]), *ACTIVATIONS)
        up = activation and links.maker(links.behind(activation.inputs[0]), "Linear")
        if down and activation and up:
            yield links.behind(one), (up, activation, down)


def _attentions(links: Links, total: Node | None) -> Iterator[tuple[str, Node, Node]]:
    """Yield residual, output matrix, and attention, of a sum of residual and its output."""
    for one, other in _operands(total):
        output = links.maker(links.behind(other), "Linear")
        attention = output and links.maker(links.behind(output.inputs[0]), "MultiHeadAttention")
        if output and attention:
            yield links.behind(one), output, attention


def _operands(total: Node | None) -> list[tuple[str, str]]:
    if total is None or len(total.inputs) != 2:
        return []
    one, other = total.inputs
    return [(one, other), (other, one)]


def _projected(links: Links, attention: Node) -> str:
    """Return what the query's matrix takes."""
    linear = links.maker(links.behind(attention.inputs[0]), "Linear")
    return links.behind(linear.inputs[0]) if linear else ""


def _projections(links: Links, attention: Node, x: str) -> dict[str, Node] | None:
    """Return the matrices of query, key and value, if all of them take x."""
    found = {}
    for name, source in zip(("query", "key", "value"), attention.inputs, strict=False):
        linear = links.maker(links.behind(source), "Linear")
        if linear is None or links.behind(linear.inputs[0]) != x:
            return None
        found[name] = linear
    return found


def _prove(links: Links, node: Node, parts: Parts, epsilon: float) -> list[Node] | None:
    """Return a layer that makes what ``node`` does, if it is found to."""
    graph, mask = links.graph, (*parts.attention.inputs, "")[3]
    heads = parts.attention.attributes["heads"]
    parameters = _parameters(links, parts, heads)
    attributes = {
        "heads": heads, "scale": parts.attention.attributes["scale"], "axis": -1,
        "zeros": parts.attention.attributes.get("zeros", ""),
        "epsilon": epsilon, "norm_first": parts.norm_first,
        "activation": parts.activation.operator, **parts.activation.attributes,
    }  # fmt: skip
    want = links.values[node.output]
    x, hidden = links.values[parts.x], links.values[mask] if mask else None
    for tokens_first in (False, True):
        if x.ndim != 3 or want.shape != x.shape:
            continue
        given = x.transpose(1, 0, 2) if tokens_first else x
        layer = Node("EncoderLayer", ("x", "mask"), ("y",), attributes, node.name)
        try:
            (got,) = run_node(layer, [given, hidden, *parameters.values()])
        except GraphError:  # the mask is for the other order
            continue
        if close(got.transpose(1, 0, 2) if tokens_first else got, want):
            names = [graph.add_constant(f"{node.output}.{name}", value)
                     for name, value in parameters.items()]  # fmt: skip
            return _around(links, node, layer, (mask, *names), parts.x, tokens_first)
    return None


def _around(
    links: Links, node: Node, layer: Node, rest: tuple[str, ...], x: str, tokens_first: bool
) -> list[Node]:
    """Return the layer, between transpositions if tokens come first."""
    order = {"perm": [1, 0, 2]}
    if not tokens_first:
        return [Node(layer.operator, (x, *rest), node.outputs, layer.attributes, layer.name)]
    before, behind = (links.graph.fresh(f"{node.output}.{end}") for end in ("in", "out"))
    return [
        Node("Transpose", (x,), (before,), order),
        Node(layer.operator, (before, *rest), (behind,), layer.attributes, layer.name),
        Node("Transpose", (behind,), node.outputs, order),
    ]


def _parameters(links: Links, parts: Parts, heads: int) -> dict[str, NDArray]:
    """Return a layer's weights by name."""
    constants, found = links.graph.constants, {}
    for name, linear in parts.linears.items():
        weights = constants[linear.inputs[1]]
        found[f"{name}.weights"] = weights
        found[f"{name}.bias"] = (
            constants[linear.inputs[2]] if len(linear.inputs) > 2
            else np.zeros(weights.shape[1], weights.dtype)
        )  # fmt: skip
    for name, norm in parts.norms.items():
        gamma = constants[norm.inputs[1]]
        found[f"{name}.gamma"] = gamma
        found[f"{name}.beta"] = (
            constants[norm.inputs[2]] if len(norm.inputs) > 2 and norm.inputs[2]
            else np.zeros_like(gamma)
        )  # fmt: skip
    return {name: found[name] for name in LAYER_PARAMETERS}
