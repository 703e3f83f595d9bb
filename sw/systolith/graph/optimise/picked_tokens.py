"""Heads of language models that are given some tokens only, usually the last one.

Norm and head treat each token alone, so tokens may as well be picked behind them. What is left
before is a whole language model, which the core does.
"""

from ..graph import Graph, Node
from .links import Links, rewrite_nodes

__all__ = ["pick_tokens_last"]


def pick_tokens_last(graph: Graph) -> int:
    """Move what picks tokens from between layers and logits behind these."""
    return rewrite_nodes(graph, _head)


def _head(links: Links, node: Node) -> list[Node] | None:
    """Match a head behind decoder layers, with norms and one choice of tokens between."""
    if node.operator != "Linear":
        return None
    steps, pick, name = [node], None, node.inputs[0]
    while maker := links.maker(name, "RMSNormalization", "Gather", "Slice"):
        if maker.operator == "RMSNormalization":
            steps.append(maker)
        elif pick is None and _picks_tokens(links, maker):
            pick = maker
        else:
            return None
        name = maker.inputs[0]
    if pick is None or not links.maker(name, "DecoderLayer"):
        return None
    nodes = []
    for step in reversed(steps):
        made = links.graph.fresh(f"{step.output}.all")
        inputs = (name, *step.inputs[1:])
        nodes.append(Node(step.operator, inputs, (made,), step.attributes, step.name))
        name = made
    inputs = (name, *pick.inputs[1:])
    return [*nodes, Node(pick.operator, inputs, node.outputs, pick.attributes, pick.name)]


def _picks_tokens(links: Links, node: Node) -> bool:
    """Whether a node picks along the second of three axes."""
    if links.values[node.inputs[0]].ndim != 3:
        return False
    if node.operator == "Gather":
        return node.attributes.get("axis", 0) in (1, -2)
    axes = links.constant(node.inputs[3]) if len(node.inputs) > 3 else None
    return axes is not None and axes.reshape(-1).tolist() in ([1], [-2])
