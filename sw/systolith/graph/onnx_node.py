"""Operators of ONNX that numpy does not compute here: onnxruntime does, node by node.

A node keeps what the file had, as bytes, with inputs and outputs renamed; it is data, and is only
ever given to onnxruntime.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .executor import values_text
from .graph import GraphError, Node
from .onnx_check import check_node
from .onnx_tensors import tensor_dtype

__all__ = ["check_onnx_node", "onnx_node", "run_onnx_node"]

RANDOM = {
    "Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
}  # fmt: skip
"""What differs in each run. Dropout comes here only while it trains."""

NESTED = {"g", "graphs", "tensors", "sparse_tensor", "sparse_tensors", "tp", "type_protos"}
"""Fields of attributes in which tensors lie that could be in any other file, or types."""

KEPT = 128
"""Nodes that stay ready to run."""

Types = tuple[np.dtype | None, ...]


def onnx_node(proto: Any, name: str, versions: Mapping[str, int], ir: int) -> Node:
    """Return the node of a NodeProto, whatever its operator is.

    Parameters
    ----------
    proto : onnx.NodeProto
        Its attributes lie in the file, and none of them is a graph.
    name : str
    versions : dict of int
        Of operators, by their domains.
    ir : int
        Of the file.

    Raises
    ------
    GraphError
        If it draws random numbers.
    """
    if proto.op_type in RANDOM:
        raise GraphError(
            f"node {name} ({proto.op_type}) draws random numbers, so that no two runs agree; draw "
            "them outside of the model, or export it for inference"
        )
    inputs, outputs = tuple(proto.input), tuple(proto.output)
    first = next((output for output in outputs if output), name)
    bare = type(proto)()
    bare.CopyFrom(proto)
    del bare.input[:], bare.output[:]
    bare.name = ""
    bare.doc_string = ""
    bare.input.extend(f"i{at}" if taken else "" for at, taken in enumerate(inputs))
    bare.output.extend(f"o{at}" for at in range(len(outputs)))
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    kind = f"{domain}.{proto.op_type}" if domain else proto.op_type
    attributes = {
        "kind": kind, "domain": domain, "version": versions.get(proto.domain, 1),
        "opset": versions.get("", versions.get("ai.onnx", 1)), "ir": ir,
        "node": bare.SerializeToString(deterministic=True),
    }  # fmt: skip
    names = tuple(output or f"{first}:{at}" for at, output in enumerate(outputs))
    return Node("onnxruntime", inputs, names, attributes, name)


def run_onnx_node(node: Node, values: Sequence[NDArray | None]) -> tuple[NDArray, ...]:
    """Return the outputs of such a node.

    Raises
    ------
    GraphError
        If onnxruntime is missing, does not know the operator, or cannot take these values.
    """
    given = node.attributes
    types = tuple(None if value is None else value.dtype for value in values)
    try:
        session = _session(given["node"], given["domain"], given["version"], given["opset"],
                           given["ir"], types)  # fmt: skip
        feeds = {f"i{at}": np.asarray(value, order="C")
                 for at, value in enumerate(values) if value is not None}  # fmt: skip
        results = session.run(None, feeds)
    except GraphError as error:
        raise GraphError(f"{node}: {error}") from error
    except Exception as error:  # onnxruntime has several, of which none is public
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise GraphError(
            f"{node} is for onnxruntime, which cannot compute it from {values_text(values)} "
            f"({lines[0]}); export the model without it"
        ) from error
    if not all(isinstance(result, np.ndarray) for result in results):
        raise GraphError(f"{node} makes a sequence or a map; export the model with tensors only")
    return tuple(results)


def check_onnx_node(node: Node) -> None:
    """Refuse such a node of a file that reads other files, or is damaged.

    Without the package onnx it cannot run either, and is not looked at.

    Raises
    ------
    GraphError
    """
    kinds = {"kind": str, "domain": str, "version": int, "opset": int, "ir": int, "node": bytes}
    for name, kind in kinds.items():
        if not isinstance(node.attributes.get(name), kind):
            raise GraphError(f"node {node.name} for onnxruntime has no {name}; compile it again")
    try:
        _parsed(node.attributes["node"])
    except ModuleNotFoundError:
        return
    except GraphError as error:
        raise GraphError(f"{node}: {error}") from error


def _parsed(content: bytes) -> Any:
    """Return the NodeProto of some bytes, all of which is in them.

    Attributes are looked at by what they hold, not by the type that they say they have.
    """
    import onnx

    try:
        proto = onnx.NodeProto.FromString(content)
    except Exception as error:  # protobuf has several, of which none is public
        raise GraphError(f"it is damaged ({error}); compile the model again") from error
    for attribute in proto.attribute:
        held = {field.name for field, _ in attribute.ListFields()} & NESTED
        if held:
            raise GraphError(
                f"its attribute {attribute.name} has {min(held)}, which can name other files; "
                "compile the model again without it"
            )
        if attribute.t.data_location == onnx.TensorProto.EXTERNAL or attribute.t.external_data:
            raise GraphError(f"its attribute {attribute.name} lies in another file")
    return proto


@functools.lru_cache(maxsize=KEPT)
def _session(
    content: bytes, domain: str, version: int, opset: int, ir: int, types: Types
) -> Any:
    """Return what runs a node on inputs of some types."""
    try:
        import onnx
        import onnxruntime
    except ModuleNotFoundError as error:
        raise GraphError(
            "onnxruntime computes this operator; install systolith[onnx]"
        ) from error
    proto = _parsed(content)
    if not domain:
        check_node(proto, "", version, ir)
    for kind in filter(None, types):
        tensor_dtype(onnx.helper.np_dtype_to_tensor_dtype(kind), "an input")
    inputs = [
        onnx.helper.make_tensor_value_info(
            f"i{at}", onnx.helper.np_dtype_to_tensor_dtype(kind), None
        )
        for at, kind in enumerate(types) if kind is not None
    ]  # fmt: skip
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output]
    imports = [onnx.helper.make_opsetid("", opset)]
    if domain:
        imports.append(onnx.helper.make_opsetid(domain, version))
    graph = onnx.helper.make_graph([proto], "node", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=imports, ir_version=ir)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong comes as an exception
    options.intra_op_num_threads = 1  # each session has threads of its own
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
