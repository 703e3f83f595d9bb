"""Sizes of several inputs that are one, though the model gives them different names, or none."""

from dataclasses import replace

from .graph import Dimension, Graph, GraphError
from .shapes import SIZES, probe_some, symbols

__all__ = ["share_sizes"]


def share_sizes(graph: Graph) -> Graph:
    """Return a graph whose inputs' sizes may be chosen as their names say.

    Some exporters call each input's batch something else, or nothing. If the model cannot be
    computed with sizes that differ, but can if those of the same axes are equal, they get the name
    that the first input has.

    Raises
    ------
    GraphError
        If it can be computed in neither way.
    """
    first: dict[int, str] = {}

    def shared(axis: int, size: Dimension) -> Dimension:
        return first.setdefault(axis, size) if isinstance(size, str) else size

    inputs = {
        name: replace(kind, shape=tuple(shared(*each) for each in enumerate(kind.shape)))
        for name, kind in graph.inputs.items()
    }
    names = symbols(graph)
    if inputs == graph.inputs:
        return graph
    reason = f"{len(names)} sizes that may change are more than {len(SIZES[0])}"
    if len(names) <= len(SIZES[0]):
        try:
            probe_some(graph, graph.outputs)
            return graph
        except GraphError as error:
            reason = str(error)
    merged = graph.copy()
    merged.inputs = inputs
    try:
        probe_some(merged, graph.outputs)
    except GraphError:
        raise GraphError(
            f"{reason}; the inputs' sizes {', '.join(names)} are taken to differ: give those that "
            "are equal one name in the file"
        ) from None
    return merged
