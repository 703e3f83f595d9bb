"""Operators of torch's aten that numpy does not compute here: torch does, node by node.

A node keeps the operator's name and its arguments as plain data, so that files can have it. When it
runs, only functions of aten are called that take tensors and change none of them.
"""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .executor import values_text
from .graph import GraphError, Node, TensorType

__all__ = ["is_still", "run_torch_node", "torch_macs", "torch_node"]

KINDS = ("dtype", "layout", "memory_format", "device")
"""Classes of torch's of which arguments may be one, by name."""

RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def torch_node(node: Any) -> Node:
    """Return the node of one of torch.fx, whatever its operator is.

    Raises
    ------
    GraphError
        If it is no operator of aten, draws random numbers, or takes or makes what is no tensor.
    """
    import torch

    where = f"node {node.name} ({node.target})"
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        raise GraphError(
            f"{where}: only torch's own operators run on the host; write the module without it, or "
            "export it to ONNX"
        )
    kind = str(target).removeprefix("aten.")
    if not _allowed(target):
        raise GraphError(f"{where} changes what it is given, or reads files; export it to ONNX")
    if torch.Tag.nondeterministic_seeded in target.tags and not is_still(node):
        raise GraphError(
            f"{where} draws random numbers, so that no two runs agree; draw them outside of the "
            "module"
        )
    inputs: list[str] = []
    arguments = {
        "args": [_encode(each, inputs, where) for each in node.args],
        "kwargs": {name: _encode(each, inputs, where) for name, each in node.kwargs.items()},
    }
    made = node.meta["val"]
    outputs: tuple[str, ...] = (node.name,)
    if isinstance(made, tuple | list):
        outputs = tuple(f"{node.name}.{number}" for number in range(len(made)))
    attributes = {"kind": kind, "arguments": json.dumps(arguments)}
    return Node("torch", tuple(inputs), outputs, attributes, node.name)


def _allowed(target: Any) -> bool:
    """Return whether a function of aten only computes: it changes no tensor, and reads no file."""
    arguments = target._schema.arguments
    kinds = [str(argument.type) for argument in arguments]
    tensors = any("Tensor" in kind for kind in kinds)
    return not target._schema.is_mutable and (tensors or not any("str" in kind for kind in kinds))


def is_still(node: Any) -> bool:
    """Return whether a node of torch.fx that could draw random numbers is told not to."""
    names = [argument.name for argument in node.target._schema.arguments]
    given = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    if "dropout_p" in names:
        return given.get("dropout_p", 0.0) == 0
    return given.get("train", given.get("training")) is False


def _encode(value: Any, inputs: list[str], where: str) -> Any:
    """Return an argument as JSON has it; the names of tensors and sizes go to ``inputs``."""
    import torch

    if hasattr(value, "op"):
        inputs.append(value.name)
        tensor = isinstance(value.meta["val"], torch.Tensor)
        return {"tensor" if tensor else "number": len(inputs) - 1}
    if isinstance(value, list | tuple):
        return [_encode(each, inputs, where) for each in value]
    if isinstance(value, torch.device):
        return {"device": "cpu"}
    for name in KINDS:
        if isinstance(value, getattr(torch, name)):
            return {name: str(value).removeprefix("torch.")}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise GraphError(
        f"{where} takes a {type(value).__name__}, which is no number; export it to ONNX"
    )


def _decode(tree: Any, tensors: Sequence[Any]) -> Any:
    """Return an argument as torch has it."""
    import torch

    if isinstance(tree, list):
        return [_decode(each, tensors) for each in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "number":
        return tensors[value].item()
    if kind == "device":
        return torch.device("cpu")
    found = getattr(torch, value)
    if kind not in KINDS or not isinstance(found, getattr(torch, kind)):
        raise ValueError(f"{value} is no {kind} of torch's")
    return found


def _call(node: Node, tensors: Sequence[Any]) -> Any:
    """Return what a node makes, as torch gives it."""
    import torch

    name, _, overload = node.attributes["kind"].partition(".")
    target = getattr(getattr(torch.ops.aten, name), overload)
    if not _allowed(target):
        raise ValueError("it changes what it is given, or reads files")
    arguments = json.loads(node.attributes["arguments"])
    args = [_decode(each, tensors) for each in arguments["args"]]
    named = {name: _decode(each, tensors) for name, each in arguments["kwargs"].items()}
    with torch.no_grad():
        return target(*args, **named)


def run_torch_node(node: Node, values: Sequence[NDArray | None]) -> tuple[NDArray, ...]:
    """Return the outputs of such a node.

    Raises
    ------
    GraphError
        If torch is missing, or cannot take these values.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise GraphError(f"{node} is for torch; install systolith[torch]") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of arrays that must not be written, and are not
            tensors = [torch.from_numpy(np.asarray(value, order="C")) for value in values]
            made = _call(node, tensors)
        parts = made if isinstance(made, tuple | list) else (made,)
        return tuple(
            part.contiguous().numpy() if isinstance(part, torch.Tensor) else np.asarray(part)
            for part in parts
        )
    except Exception as error:  # torch has many, of which few are public
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise GraphError(
            f"{node} is for torch, which cannot compute it from {values_text(values)} ({lines[0]})"
        ) from error


def torch_macs(
    node: Node, shapes: Mapping[str, tuple[int, ...]], types: Mapping[str, TensorType]
) -> int | None:
    """Return a node's multiplications as torch counts them; None if it cannot be run on zeros.

    Recurrent layers, which torch does not count, have those of their matrices.
    """
    if node.kind.partition(".")[0] in RECURRENT:
        rows = math.prod(shapes[node.inputs[0]][:-1])
        matrices = (shapes[name] for name in node.inputs[1:] if len(shapes[name]) == 2)
        return rows * sum(map(math.prod, matrices))
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    try:
        tensors = [
            torch.zeros(shapes[name], dtype=getattr(torch, types[name].dtype.name))
            for name in node.inputs
        ]
        with FlopCounterMode(display=False) as counter:
            _call(node, tensors)
    except Exception:  # it depends on values
        return None
    return counter.get_total_flops() // 2
