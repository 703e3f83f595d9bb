"""Drop what no output needs."""

from ..executor import needed
from ..graph import Graph

__all__ = ["drop_dead_code"]


def drop_dead_code(graph: Graph) -> int:
    """Drop nodes and constants; return how many nodes."""
    nodes = needed(graph, (), graph.outputs)
    count = len(graph.nodes) - len(nodes)
    graph.nodes = nodes
    used = {name for node in nodes for name in node.inputs} | set(graph.outputs)
    graph.constants = {name: value for name, value in graph.constants.items() if name in used}
    return count
