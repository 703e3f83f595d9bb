"""Run a graph on the host: what every rewrite, and the core's results, are measured against."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import RUNTIMES, Graph, GraphError, Node
from .operators import OPERATORS

__all__ = ["Handler", "can_run", "needed", "run", "run_node"]

Handler = Callable[[Node, Sequence[NDArray | None]], Any]
"""Computes a node from the values of its inputs."""


def can_run(node: Node) -> bool:
    """Return whether the host computes such a node; of stacks on the core, for example, not."""
    return node.operator in OPERATORS or node.operator in RUNTIMES


def run_node(node: Node, values: Sequence[NDArray | None]) -> tuple[NDArray, ...]:
    """Return a node's outputs.

    Raises
    ------
    GraphError
        If the operator is unknown, or cannot take these values.
    """
    if node.operator == "onnxruntime":
        from .onnx_node import run_onnx_node

        return run_onnx_node(node, values)
    if node.operator == "torch":
        from .torch_node import run_torch_node

        return run_torch_node(node, values)
    operator = OPERATORS.get(node.operator)
    if operator is None:
        raise GraphError(
            f"{node}: there is no operator {node.operator} here; export the model without it, or "
            "compute that part yourself"
        )
    try:
        with np.errstate(all="ignore"):  # of infinite masks
            result = operator(node.attributes, *values)
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, ArithmeticError,
            MemoryError) as error:  # fmt: skip
        raise GraphError(
            f"{node} cannot be computed from {values_text(values)}: {error}"
        ) from error
    results = result if isinstance(result, (tuple, list)) else (result,)
    count = len(node.outputs)
    if len(results) < count or (node.operator == "Split" and len(results) > count):
        raise GraphError(f"{node} makes {len(results)} tensors, but has {count} outputs")
    return tuple(np.asarray(value) for value in results)


def values_text(values: Sequence[NDArray | None]) -> str:
    """Return types and shapes of a node's inputs, for messages."""
    return ", ".join("-" if x is None else f"{x.dtype}{list(x.shape)}" for x in values)


def needed(graph: Graph, known: Iterable[str], wanted: Iterable[str]) -> list[Node]:
    """Return the nodes that must run to get from ``known`` tensors to those ``wanted``."""
    known, waiting = set(known), set(wanted)
    waiting -= known
    nodes = []
    for node in reversed(graph.nodes):
        if waiting.intersection(node.outputs):
            nodes.append(node)
            waiting.update(name for name in node.inputs if name and name not in known)
    return nodes[::-1]


def run(
    graph: Graph, feeds: Mapping[str, NDArray], wanted: Sequence[str] | None = None, *,
    handlers: Mapping[str, Handler] | None = None,
    keep: Callable[[str, NDArray], None] | None = None,
) -> dict[str, NDArray]:  # fmt: skip
    """Return tensors by name, by default the outputs.

    Parameters
    ----------
    graph : Graph
    feeds : dict of arrays
        The inputs, or any other tensors, which are then not computed.
    wanted : sequence of str
    handlers : dict
        What computes nodes of some operators instead.
    keep : function
        Is shown every tensor that a node makes.

    Raises
    ------
    GraphError
        If a node cannot be computed, or an input is not there.
    """
    wanted = list(graph.outputs if wanted is None else wanted)
    handlers = handlers or {}
    values: dict[str, NDArray] = {**graph.constants, **feeds}
    nodes = needed(graph, values, wanted)
    uses = Counter(name for node in nodes for name in node.inputs)
    uses.update(wanted)
    for node in nodes:
        taken = [_value(node, values, name) for name in node.inputs]
        if node.operator in handlers:
            results = tuple(handlers[node.operator](node, taken))
        else:
            results = run_node(node, taken)
        for name, value in zip(node.outputs, results, strict=False):
            values[name] = value
            if keep:
                keep(name, value)
        uses.subtract(node.inputs)
        for name in node.inputs:
            if uses[name] == 0 and name not in graph.constants:
                values.pop(name, None)  # so that memory is as small as it can be
    missing = [name for name in wanted if name not in values]
    if missing:
        raise GraphError(f"the model's input {missing[0]} is not given")
    return {name: values[name] for name in wanted}


def _value(node: Node, values: Mapping[str, NDArray], name: str) -> NDArray | None:
    if not name:
        return None
    if name not in values:
        raise GraphError(f"{node} takes {name}, which is neither given nor made")
    return values[name]
