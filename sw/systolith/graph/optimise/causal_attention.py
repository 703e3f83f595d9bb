"""Attention of language models, in its usual spellings, as one node.

It is found by its Softmax. Rotary positions may be of features side by side or of halves
(:mod:`.turned`), with tables or computed; keys and values may be repeated for the heads of queries
that share them; and a causal mask may be anything that hides later tokens. What was found is
computed without any mask and any repetition, and compared.
"""

import numpy as np
from numpy.typing import NDArray

from ..graph import Graph, Node
from .attention import context_behind, project, prove_context
from .head_layout import Sizes, Source, find_source
from .links import Links, rewrite_nodes
from .scores import find_scores, find_softmax
from .turned import find_turned

__all__ = ["fuse_causal_attention"]

ROUNDING = 1e-6
"""By which the usual scale of scores may be another in float32."""


def fuse_causal_attention(graph: Graph) -> int:
    """Put CausalAttention in the place of each attention with rotary positions."""
    return rewrite_nodes(graph, _attention)


def _attention(links: Links, node: Node) -> list[Node] | None:
    """Match by the last node that moves the context's elements."""
    context = context_behind(links, node)
    softmax = context and find_softmax(links, context.inputs[0])
    scores = softmax and find_scores(links, softmax[0])
    if not context or not scores:
        return None
    value = links.values[context.output]
    tokens, features = value.shape[-2:]
    query = find_turned(links, scores.product.inputs[0], features)
    keys = query and find_turned(links, scores.product.inputs[1], features, keys=True)
    if not query or not keys:
        return None
    heads = len(query.columns)
    if heads == 0 or value.size % (heads * tokens * features):
        return None
    found = _values(links, context.inputs[1], Sizes(
        value.size // (heads * tokens * features), heads, tokens, features))  # fmt: skip
    key_columns = _shared(keys.columns, heads)
    value_columns = None if found is None else _shared(found.columns, heads)
    if found is None or key_columns is None or value_columns is None:
        return None
    if key_columns.shape != value_columns.shape:
        return None
    nodes: list[Node] = []
    inputs = [
        project(links, nodes, node, Source(name, columns, 1.0, tokens_first=False))
        for name, columns in ((query.name, query.columns), (keys.name, key_columns),
                              (found.name, value_columns))
    ]  # fmt: skip
    scale = query.factor * keys.factor * scores.factor
    usual = features**-0.5
    attributes = {
        "heads": heads, "key_heads": len(key_columns), "rotary_base": query.base,
        "scale": usual if abs(scale / usual - 1) < ROUNDING else scale,
    }  # fmt: skip
    name = links.graph.fresh(f"{node.output}.context")
    fused = Node("CausalAttention", tuple(inputs), (name,), attributes, node.name)
    return prove_context(links, node, [*nodes, fused])


def _values(links: Links, name: str, sizes: Sizes) -> Source | None:
    """Return where values are from, of as many heads as there are of queries, or of one."""
    value = links.values[name]
    if value.ndim == 4 and value.shape[1] == 1:
        sizes = Sizes(sizes.batch, 1, sizes.tokens, sizes.features)
    found = find_source(links, name, sizes)
    return found if found and found.factor == 1.0 and not found.tokens_first else None


def _shared(columns: NDArray[np.int64], heads: int) -> NDArray[np.int64] | None:
    """Return the columns (G, D) of heads of keys or values, each once, that were repeated."""
    distinct = [row for number, row in enumerate(columns)
                if number == 0 or (row != columns[number - 1]).any()]  # fmt: skip
    rows = np.stack(distinct)
    if heads % len(rows) or len(columns) not in (1, heads):
        return None
    repeated = np.repeat(rows, len(columns) // len(rows), axis=0)
    same = repeated.shape == columns.shape and (repeated == columns).all()
    return rows if same else None
