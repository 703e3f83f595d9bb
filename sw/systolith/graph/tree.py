"""Graphs as plain data, as JSON takes it, and back; constants stay arrays."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import Graph, GraphError, Node, TensorType
from .onnx_node import check_onnx_node
from .torch_node import check_torch_node

__all__ = ["graph_from_tree", "graph_tree", "text", "texts"]

FOREIGN = {"onnxruntime": check_onnx_node, "torch": check_torch_node}
"""What looks at nodes that others compute."""


def graph_tree(graph: Graph) -> dict[str, Any]:
    """Return all of a graph but its constants."""
    return {
        "inputs": {name: _type_tree(kind) for name, kind in graph.inputs.items()},
        "outputs": list(graph.outputs),
        "types": {name: _type_tree(kind) for name, kind in graph.types.items()},
        "nodes": [_node_tree(node) for node in graph.nodes],
    }


def graph_from_tree(tree: Mapping[str, Any], constants: dict[str, NDArray]) -> Graph:
    """Return the graph that :func:`graph_tree` was given.

    Raises
    ------
    GraphError
        If a node takes what nothing makes, or one that another package computes could read files.
    AttributeError, LookupError, TypeError, ValueError
        If it is no such tree.
    """
    graph = Graph(
        inputs={name: _type(kind) for name, kind in tree["inputs"].items()},
        outputs=texts(tree["outputs"]),
        constants=constants,
        nodes=[_node(node) for node in tree["nodes"]],
        types={name: _type(kind) for name, kind in tree["types"].items()},
    )
    graph.check()
    return graph


def _type_tree(kind: TensorType) -> dict[str, Any]:
    return {"dtype": kind.dtype.str, "shape": list(kind.shape)}


def _type(tree: Mapping[str, Any]) -> TensorType:
    shape = tuple(tree["shape"])
    for size in shape:
        number = isinstance(size, int) and not isinstance(size, bool)
        if not (size >= 0 if number else isinstance(size, str)):
            raise ValueError(f"{size!r} is no size")
    return TensorType(_dtype(tree["dtype"]), shape)


def _dtype(name: Any) -> np.dtype:
    """Return a type of numbers."""
    dtype = np.dtype(text(name))
    if dtype.kind not in "biufc":
        raise ValueError(f"{name!r} is no type of numbers")
    return dtype


def text(value: Any) -> str:
    """Return what must be text.

    Raises
    ------
    TypeError
    """
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def texts(value: Any) -> list[str]:
    """Return what must be a list of texts.

    Raises
    ------
    TypeError
    """
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return [text(one) for one in value]


def _node_tree(node: Node) -> dict[str, Any]:
    return {
        "operator": node.operator, "inputs": list(node.inputs), "outputs": list(node.outputs),
        "attributes": {name: _plain(node, name) for name in node.attributes}, "name": node.name,
    }  # fmt: skip


def _node(tree: Mapping[str, Any]) -> Node:
    attributes = {name: _attribute(value) for name, value in tree["attributes"].items()}
    outputs = texts(tree["outputs"])
    if not outputs:
        raise ValueError("a node makes nothing")
    node = Node(text(tree["operator"]), tuple(texts(tree["inputs"])), tuple(outputs), attributes,
                text(tree["name"]))  # fmt: skip
    if node.operator in FOREIGN:
        FOREIGN[node.operator](node)
    return node


def _plain(node: Node, name: str) -> Any:
    """Return an attribute as JSON has it; types, bytes and arrays are an object that says so.

    Raises
    ------
    GraphError
        If it is anything else.
    """
    value = node.attributes[name]
    match value:
        case None | bool() | int() | float() | str():
            return value
        case np.dtype():
            return {"dtype": value.str}
        case bytes():
            return {"base64": base64.b64encode(value).decode()}
        case np.generic():
            return value.item()
        case np.ndarray():
            return {"dtype": value.dtype.str, "shape": list(value.shape),
                    "values": value.reshape(-1).tolist()}  # fmt: skip
        case list() | tuple():
            items = np.asarray(value).tolist()
            if all(isinstance(item, bool | int | float | str) for item in items):
                return items
    raise GraphError(f"{node} has an attribute {name} of {type(value).__name__}, which no file has")


def _attribute(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "base64" in value:
        return base64.b64decode(value["base64"], validate=True)
    dtype = _dtype(value["dtype"])
    if "values" not in value:
        return dtype
    return np.array(value["values"], dtype).reshape(value["shape"])
