"""Attention of many heads, in its usual spellings, as one node.

It is found by its Softmax: what stands between that and the product of queries and keys must be
factors and a mask; queries, keys and values may come from one projection or from three, and heads
may be cut out in any way (:mod:`.head_layout`). What was found is computed and compared.
"""

from collections.abc import Sequence

import numpy as np

from ..executor import run_node
from ..graph import Graph, GraphError, Node
from .head_layout import Sizes, Source, find_source, moved
from .links import Links, close, rewrite_nodes
from .scores import find_scores, find_softmax

__all__ = ["context_behind", "fuse_attention", "project", "prove_context"]

TOKENS_FIRST = {"perm": [1, 0, 2]}


def fuse_attention(graph: Graph) -> int:
    """Put MultiHeadAttention in the place of each attention."""
    return rewrite_nodes(graph, _attention)


def _attention(links: Links, node: Node) -> list[Node] | None:
    """Match by the last node that moves the context's elements."""
    context = context_behind(links, node)
    if context is None:
        return None
    found = find_softmax(links, context.inputs[0])
    scores = found and find_scores(links, found[0])
    if not found or not scores:
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
    inputs = [project(links, nodes, node, source) for source in (query, keys, values)]
    attributes = {"heads": heads, "scale": query.factor * keys.factor * scores.factor,
                  "zeros": found[1]}  # fmt: skip
    fused = Node("MultiHeadAttention", (*inputs, *filter(None, [scores.mask])),
                 (links.graph.fresh(f"{node.output}.context"),), attributes, node.name)  # fmt: skip
    return prove_context(links, node, [*nodes, fused])


def context_behind(links: Links, node: Node) -> Node | None:
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


def project(links: Links, nodes: list[Node], node: Node, source: Source) -> str:
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


def prove_context(links: Links, node: Node, nodes: Sequence[Node]) -> list[Node] | None:
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
