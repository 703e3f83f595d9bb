"""What ONNX itself says of nodes and files, in sentences that name the node.

Numbers and kinds of inputs, outputs and attributes are looked at by the package onnx; onnxruntime
does so too late, and ends the process over some of what it is given.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from .graph import GraphError

__all__ = ["check_model", "check_node"]

OLDEST = 13
"""The first version of the operators that is read."""


def check_model(model: Any, domains: tuple[str, ...]) -> int:
    """Return the version of ONNX's operators in a ModelProto.

    Raises
    ------
    GraphError
        If it has none that is known, one name twice, or one that is no text.
    """
    import onnx

    for text in _texts(model):
        if not isinstance(text, str):  # protobuf gives bytes that are no UTF-8 as they are
            raise GraphError(f"the model has a name {text!r}, which is no text; export it again")

    versions = {entry.domain: entry.version for entry in model.opset_import}
    version = next((versions[domain] for domain in domains if domain in versions), None)
    if version is None:
        nodes = [node for node in model.graph.node if node.domain in domains]
        if nodes:
            raise GraphError(
                f"node {nodes[0].name or ''.join(nodes[0].output[:1])} ({nodes[0].op_type}) is "
                "ONNX's, but the file does not say of which opset; export it again"
            )
        return OLDEST  # a model of other domains' operators alone
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST <= version <= newest:
        raise GraphError(
            f"the model has operators of opset {version}; export it with one of {OLDEST} to "
            f"{newest}, which the package onnx {onnx.__version__} knows"
        )
    for kind, names in (("input", model.graph.input), ("initializer", model.graph.initializer)):
        seen: set[str] = set()
        for value in names:
            if value.name in seen or not value.name:
                raise GraphError(
                    f"the model's {kind} {value.name or 'without a name'} is there twice or has no "
                    "name; export it again"
                )
            seen.add(value.name)
    return version


def _texts(model: Any) -> Iterator[str | bytes]:
    """Yield all names in a model that are read."""
    graph = model.graph
    tensors = [*graph.initializer]
    for entry in model.opset_import:
        yield entry.domain
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            tensors.append(attribute.t)
    for value in (*graph.input, *graph.output):
        yield from (value.name, *(size.dim_param for size in value.type.tensor_type.shape.dim))
    for tensor in tensors:
        yield tensor.name
        for entry in tensor.external_data:
            yield from (entry.key, entry.value)


def check_node(proto: Any, name: str, version: int, ir: int) -> None:
    """Refuse a node of ONNX's own domain that is none.

    Parameters
    ----------
    proto : onnx.NodeProto
        Its attributes lie in the file. Operators that the package does not know, some of
        onnxruntime's for example, are not looked at.
    name : str
    version, ir : int
        Of operators, and of the file.

    Raises
    ------
    GraphError
    """
    import onnx

    try:
        onnx.defs.get_schema(proto.op_type, version, "")
    except onnx.defs.SchemaError:
        return
    where = f"node {name} ({proto.op_type})"
    context = onnx.checker.C.CheckerContext()
    context.ir_version, context.opset_imports = ir, {"": version, "ai.onnx": version}
    try:
        onnx.checker.check_node(proto, context)
    except (onnx.checker.ValidationError, UnicodeDecodeError) as error:
        line = str(error).strip().splitlines()[0]
        raise GraphError(f"{where} is wrong: {line}") from error
    given: Mapping[str, Any] = {each.name: each for each in proto.attribute}
    if proto.op_type == "Split":
        if not all(proto.output):
            raise GraphError(f"{where} leaves out a part; give each output a name")
        if version >= 18 and len(proto.input) < 2 and "num_outputs" not in given:
            raise GraphError(f"{where} has neither sizes of its parts nor num_outputs")
