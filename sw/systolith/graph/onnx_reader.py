"""Read ONNX files. Nothing in them is executed or unpickled.

Nodes that numpy computes here become ours; all others stay what they are, for onnxruntime.
"""

from pathlib import Path
from typing import Any

import numpy as np

from .graph import Dimension, Graph, GraphError, Node, TensorType
from .onnx_check import check_model, check_node
from .onnx_native import is_native
from .onnx_node import onnx_node
from .onnx_tensors import tensor_dtype, tensor_value

__all__ = ["read_onnx"]

DOMAINS = ("", "ai.onnx")


def read_onnx(path: str | Path) -> Graph:
    """Return the graph of a file.

    Raises
    ------
    GraphError
        If the package onnx or the file is missing, or has something that is not supported.
    """
    path = Path(path)
    onnx = _package()
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise GraphError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # protobuf has several, of which none is public
        raise GraphError(
            f"{path} is no ONNX file, or damaged ({error}); export it again"
        ) from error
    return onnx_graph(model, path.parent)


def onnx_graph(model: Any, folder: Path = Path()) -> Graph:
    """Return the graph of a ModelProto whose external data is in ``folder``."""
    if model.functions:
        model = _package().inliner.inline_local_functions(model)
    source = model.graph
    versions = {entry.domain: entry.version for entry in model.opset_import}
    version = check_model(model, DOMAINS)
    constants = {tensor.name: tensor_value(tensor, folder) for tensor in source.initializer}
    inputs = {
        value.name: _type(value) for value in source.input if value.name not in constants
    }
    nodes = []
    for number, proto in enumerate(source.node):
        name = proto.name or next(filter(None, proto.output), f"number {number}")
        attributes = {
            attribute.name: _attribute(attribute, f"node {name} ({proto.op_type})", folder)
            for attribute in proto.attribute
        }
        if proto.domain in DOMAINS and proto.op_type == "Constant":
            output = _only_output(proto, name)
            constants[output] = _constant(name, attributes)
            continue
        proto = _complete(proto, attributes)
        if proto.domain in DOMAINS:
            check_node(proto, name, version, model.ir_version)
        if proto.domain in DOMAINS and is_native(proto, version, constants):
            nodes.append(_node(proto, name, attributes, version))
        else:
            nodes.append(onnx_node(proto, name, versions, model.ir_version))
    graph = Graph(inputs, [value.name for value in source.output], constants, nodes)
    graph.check()
    return graph


def _package() -> Any:
    try:
        import onnx
        import onnx.inliner
    except ModuleNotFoundError as error:
        raise GraphError(
            "reading ONNX files needs the package onnx; install systolith[onnx]"
        ) from error
    return onnx


def _type(value: Any) -> TensorType:
    """Return the type of an input, whose dimensions without a name get one."""
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise GraphError(f"input {value.name} is no tensor; export the model with tensors only")
    if not kind.HasField("shape"):
        raise GraphError(
            f"input {value.name} has no shape, not even a rank; export the model with shapes, "
            "where sizes that may change have names"
        )
    shape: list[Dimension] = []
    for place, dimension in enumerate(kind.shape.dim):
        if dimension.HasField("dim_value") and dimension.dim_value >= 0:
            shape.append(dimension.dim_value)
        else:
            shape.append(dimension.dim_param or f"{value.name}.{place}")
    return TensorType(tensor_dtype(kind.elem_type, f"input {value.name}"), tuple(shape))


def _node(proto: Any, name: str, attributes: dict[str, Any], version: int) -> Node:
    """Return a node that numpy computes."""
    if proto.op_type == "Cast":
        attributes["to"] = tensor_dtype(attributes["to"], f"node {name} (Cast)")
    if proto.op_type == "Split" and version < 18:
        attributes |= {"num_outputs": len(proto.output), "equal": True}
    return Node(proto.op_type, tuple(proto.input), tuple(proto.output), attributes, name)


def _complete(proto: Any, attributes: dict[str, Any]) -> Any:
    """Return a node in whose attributes nothing is left in other files."""
    onnx = _package()
    for attribute in proto.attribute:
        if attribute.t.data_location == onnx.TensorProto.EXTERNAL:
            attribute.t.CopyFrom(onnx.numpy_helper.from_array(attributes[attribute.name]))
    return proto


def _attribute(attribute: Any, where: str, folder: Path) -> Any:
    """Return an attribute's value: numbers, strings, arrays, or sequences of the first two."""
    kinds = type(attribute)
    readers = {
        kinds.FLOAT: lambda: attribute.f, kinds.INT: lambda: attribute.i,
        kinds.STRING: lambda: attribute.s.decode(errors="replace"),
        kinds.FLOATS: lambda: list(attribute.floats), kinds.INTS: lambda: list(attribute.ints),
        kinds.STRINGS: lambda: [text.decode(errors="replace") for text in attribute.strings],
        kinds.TENSOR: lambda: tensor_value(attribute.t, folder),
    }  # fmt: skip
    if attribute.type == kinds.UNDEFINED:
        raise GraphError(
            f"{where} has an attribute {attribute.name} of no type; the file is damaged: export it "
            "again"
        )
    if attribute.type not in readers:
        raise GraphError(
            f"{where} has an attribute {attribute.name} that is a graph or the like: control flow "
            "that depends on data cannot be compiled; export the model for one path"
        )
    try:
        return readers[attribute.type]()
    except GraphError as error:
        raise GraphError(f"{where}, attribute {attribute.name}: {error}") from error


def _only_output(proto: Any, name: str) -> str:
    """Return what a Constant makes."""
    if len(proto.output) != 1 or not proto.output[0] or len(proto.attribute) != 1:
        raise GraphError(
            f"node {name} (Constant) has {len(proto.attribute)} values and {len(proto.output)} "
            "outputs instead of one of each; export the model again"
        )
    return proto.output[0]


def _constant(name: str, attributes: dict[str, Any]) -> np.ndarray:
    """Return the value of a Constant."""
    ((kind, value),) = attributes.items()
    if kind == "value" and isinstance(value, np.ndarray):
        return value
    types = {"value_int": np.int64, "value_ints": np.int64,
             "value_float": np.float32, "value_floats": np.float32}  # fmt: skip
    if kind not in types or isinstance(value, np.ndarray | str):
        raise GraphError(
            f"node {name} (Constant) has a {kind}, which is not supported; numbers are"
        )
    return np.array(value, types[kind])
