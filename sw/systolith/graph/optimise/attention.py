"""Attention of many heads, in its usual spellings, as one node.

It is found by its Softmax: what stands between that and the product of queries and keys must be
factors and a mask; queries, keys and values may come from one projection or from three, and heads
may be cut out in any way (:mod:`.head_layout`). What was found is computed and compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..executor import run_node
from ..graph import Graph, GraphError, Node
from .head_layout import Sizes, Source, find_source, moved
from .links import Links, close, rewrite_nodes

__all__ = ["fuse_attention"]

TOKENS_FIRST = {"perm": [1, 0, 2]}


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


def fuse_attention(graph: Graph) -> int:
    """Put MultiHeadAttention in the place of each attention."""
    return rewrite_nodes(graph, _attention)


def _attention(links: Links, node: Node) -> list[Node] | None:
    """Match by the last node that moves the context's elements."""
    context = _context_behind(links, node)
    if context is None:
        return None
    softmax = _softmax(links, context.inputs[0])
    scores = softmax and _scores(links, softmax)
    if not scores:
        return None
    key, value = links.values[scores.product.inputs[1]], links.values[context.output]
    tokens, features = value.shape[-2:]
    if key.shape[-1] != tokens or value.ndim not in (3, 4):
        return None  # not of the tokens to themselves
    heads = value.shape[1] if value.ndim == 4 else _heads(links, node, features)
    batch = value.size // (heads * tokens * features)
    sizes = Sizes(batch, heads, tokens, features)
    query = find_source(links, scores.product.inputs[0], sizes)
    keys = find_source(links, scores.product.inputs[1], sizes, keys=True)
    values = find_source(links, context.inputs[1], sizes)
    if query is None or keys is None or values is None or values.factor != 1.0:
        return None
    nodes = list(scores.nodes)
    inputs = [_project(links, nodes, node, source) for source in (query, keys, values)]
    attributes = {"heads": heads, "scale": query.factor * keys.factor * scores.factor}
    fused = Node("MultiHeadAttention", (*inputs, *filter(None, [scores.mask])),
                 (links.graph.fresh(f"{node.output}.context"),), attributes, node.name)  # fmt: skip
    return _prove(links, node, [*nodes, fused])


def _context_behind(links: Links, node: Node) -> Node | None:
    """Return the product with the values whose elements ``node`` is the last to move."""
    name = node.output
    while (maker := links.maker(name)) and maker.operator in ("Transpose", "Reshape", "Squeeze"):
        name = maker.inputs[0]
    product = links.maker(name, "MatMul")
    if product is None or moved(links, product.output)[0] != node.output:
        return None
    return product


def _heads(links: Links, node: Node, features: int) -> int:
    return links.values[node.output].shape[-1] // features


def _softmax(links: Links, name: str) -> Node | None:
    """Return the Softmax that makes weights, maybe with zeros for what is no number."""
    node = links.maker(name, "Where", "Softmax", "Dropout", "Cast")
    while node and node.operator != "Softmax":
        inner = node.inputs[0]
        if node.operator == "Where":
            test, inner = links.maker(node.inputs[0], "IsNaN"), node.inputs[2]
            if test is None or test.inputs[0] != inner or links.scalar(node.inputs[1]) != 0.0:
                return None
        node = links.maker(inner, "Where", "Softmax", "Dropout", "Cast")
    if node is None:
        return None
    last = node.attributes.get("axis", -1) in (-1, links.values[node.output].ndim - 1)
    return node if last else None


def _scores(links: Links, softmax: Node) -> Scores | None:
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


def _project(links: Links, nodes: list[Node], node: Node, source: Source) -> str:
    """Return (batch, tokens, features) of a source, whose columns are picked if need be."""
    graph, name, columns = links.graph, source.name, source.columns.reshape(-1)
    count = links.values[name].shape[-1]
    if not np.array_equal(columns, np.arange(count)):
        linear = links.maker(name, "Linear")
        name = graph.fresh(f"{source.name}.part{len(nodes)}")
        if linear:  # a projection of its own
            parameters = [
                graph.add_constant(f"{name}.parameter", graph.constants[one][..., columns])
                for one in linear.inputs[1:]
            ]
            nodes.append(Node("Linear", (linear.inputs[0], *parameters), (name,)))
        else:
            indices = graph.add_constant(f"{name}.columns", columns)
            nodes.append(Node("Gather", (source.name, indices), (name,), {"axis": 2}))
    if source.tokens_first:
        turned = graph.fresh(f"{name}.turned{len(nodes)}")
        nodes.append(Node("Transpose", (name,), (turned,), TOKENS_FIRST))
        name = turned
    return name


def _prove(links: Links, node: Node, nodes: Sequence[Node]) -> list[Node] | None:
    """Return nodes that make what ``node`` does, if they are found to."""
    values = {**links.values, **links.graph.constants}
    for one in nodes:
        try:
            results = run_node(one, [values[name] for name in one.inputs])
        except GraphError:  # a mask of other sizes
            return None
        values.update(zip(one.outputs, results, strict=False))
    context, want = nodes[-1].output, values[node.output]
    for tokens_first in (False, True):
        turned = values[context].transpose(1, 0, 2) if tokens_first else values[context]
        for flat in (False, True):
            got = turned.reshape(-1, turned.shape[-1]) if flat else turned
            if close(got, want):
                return [*nodes, *_arrange(links, node, context, tokens_first, flat)]
    return None


def _arrange(
    links: Links, node: Node, context: str, tokens_first: bool, flat: bool
) -> list[Node]:
    """Return nodes that bring the context into the form of what ``node`` makes."""
    nodes: list[Node] = []
    if tokens_first:
        name = links.graph.fresh(f"{context}.turned")
        nodes.append(Node("Transpose", (context,), (name,), TOKENS_FIRST))
        context = name
    if flat:
        shape = np.array([-1, links.values[node.output].shape[-1]], np.int64)
        name = links.graph.add_constant(f"{node.output}.shape", shape)
        nodes.append(Node("Reshape", (context, name), node.outputs))
    else:
        nodes.append(Node("Identity", (context,), node.outputs))
    return nodes
