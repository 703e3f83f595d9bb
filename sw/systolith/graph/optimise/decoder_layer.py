"""Layers of a language model of Llama's family as one node."""

from collections.abc import Iterator

from numpy.typing import NDArray

from ..executor import run_node
from ..graph import Graph, Node
from ..operators.decoder import DECODER_PARAMETERS
from .links import Links, close, rewrite_nodes

__all__ = ["fuse_decoder_layers"]

Found = dict[str, Node]
"""Norms and matrices by their names in :data:`DECODER_PARAMETERS`."""


def fuse_decoder_layers(graph: Graph) -> int:
    """Put DecoderLayer in the place of each layer."""
    return rewrite_nodes(graph, _layer)


def _layer(links: Links, node: Node) -> list[Node] | None:
    """Match middle + down(silu(gate) * up), middle = x + output(attention)."""
    for middle, forward in _feed_forwards(links, node):
        for x, attention, found in _attentions(links, links.maker(middle, "Add")):
            layer = _prove(links, node, x, attention, found | forward)
            if layer:
                return layer
    return None


def _feed_forwards(links: Links, node: Node | None) -> Iterator[tuple[str, Found]]:
    """Yield residual, and the parts of SwiGLU, of a sum of both."""
    for middle, other in _sums(node):
        down = links.maker(links.behind(other), "Linear")
        product = down and links.maker(links.behind(down.inputs[0]), "Mul")
        for one, two in _sums(product or None, "Mul"):
            silu = links.maker(links.behind(one), "Silu")
            up = links.maker(links.behind(two), "Linear")
            gate = silu and links.maker(links.behind(silu.inputs[0]), "Linear")
            norm = up and _norm(links, up, middle)
            if down and gate and up and norm and _norm(links, gate, middle) is norm:
                yield middle, {"hidden_norm": norm, "gate": gate, "up": up, "down": down}


def _attentions(links: Links, node: Node | None) -> Iterator[tuple[str, Node, Found]]:
    """Yield residual, attention, and its norm and matrices, of a sum of residual and output."""
    for x, other in _sums(node):
        output = links.maker(links.behind(other), "Linear")
        attention = output and links.maker(links.behind(output.inputs[0]), "CausalAttention")
        if not output or not attention:
            continue
        linears = [links.maker(links.behind(name), "Linear") for name in attention.inputs]
        norms = [linear and _norm(links, linear, x) for linear in linears]
        if all(linears) and norms[0] and all(norm is norms[0] for norm in norms):
            found = dict(zip(("query", "key", "value"), linears, strict=True))
            found |= {"attention_norm": norms[0], "output": output}
            yield x, attention, {name: part for name, part in found.items() if part}


def _sums(node: Node | None, operator: str = "Add") -> list[tuple[str, str]]:
    """Return both operands of a sum, or of a product, in both orders."""
    if node is None or node.operator != operator or len(node.inputs) != 2:
        return []
    one, other = node.inputs
    return [(one, other), (other, one)]


def _norm(links: Links, linear: Node, x: str) -> Node | None:
    """Return the norm of x that a matrix takes."""
    norm = links.maker(links.behind(linear.inputs[0]), "RMSNormalization")
    return norm if norm and norm.inputs[0] == x else None


def _prove(
    links: Links, node: Node, x: str, attention: Node, found: Found
) -> list[Node] | None:
    """Return a layer that makes what ``node`` does, if it is found to."""
    epsilons = {found[name].attributes.get("epsilon", 1e-5)
                for name in ("attention_norm", "hidden_norm")}  # fmt: skip
    if len(epsilons) > 1 or any(len(part.inputs) < 2 for part in found.values()):
        return None
    attributes = {**attention.attributes, "axis": -1, "epsilon": epsilons.pop()}
    parameters = [links.graph.constants[found[name].inputs[1]] for name in DECODER_PARAMETERS]
    layer = Node("DecoderLayer", ("x",), ("y",), attributes, node.name)
    if not close(_computed(layer, links.values[x], parameters), links.values[node.output]):
        return None
    names = [links.graph.add_constant(f"{node.output}.{name}", value)
             for name, value in zip(DECODER_PARAMETERS, parameters, strict=True)]  # fmt: skip
    return [Node("DecoderLayer", (x, *names), node.outputs, attributes, node.name)]


def _computed(layer: Node, x: NDArray, parameters: list[NDArray]) -> NDArray:
    """Return what a layer makes without any bias: one with biases makes something else."""
    return run_node(layer, [x, *parameters])[0]
