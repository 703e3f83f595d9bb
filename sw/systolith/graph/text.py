"""A graph as text, a line for each node."""

import numpy as np

from .graph import RUNTIMES, Graph

__all__ = ["graph_text"]


def graph_text(graph: Graph) -> str:
    """Return inputs, nodes and outputs, with types as far as they are known."""
    lines = [f"input {name}: {kind}" for name, kind in graph.inputs.items()]
    for node in graph.nodes:
        made = ", ".join(_typed(graph, name) for name in node.outputs if name)
        taken = ", ".join(_taken(graph, name) for name in node.inputs)
        if node.operator in RUNTIMES:
            lines.append(f"{made} = {node.kind}({taken}) by {node.operator}")
            continue
        attributes = "".join(f" {name}={value}" for name, value in node.attributes.items())
        lines.append(f"{made} = {node.operator}({taken}){attributes}")
    lines += [f"output {_typed(graph, name)}" for name in graph.outputs]
    return "\n".join(lines)


def _typed(graph: Graph, name: str) -> str:
    return f"{name}: {graph.types[name]}" if name in graph.types else name


def _taken(graph: Graph, name: str) -> str:
    """Return a name, or the value of a small constant."""
    value = graph.constant(name)
    if value is None:
        return name or "-"
    if value.size == 1:
        return str(value.reshape(-1)[0])
    return f"{value.dtype}{list(np.shape(value))}"
