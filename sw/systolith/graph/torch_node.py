"""Operators of torch's aten that numpy does not compute here: torch does, node by node.

A node keeps the operator's name and its arguments as plain data, so that files can have it. When it
runs, only functions of aten are called that make tensors or numbers of tensors, and change none.
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

__all__ = ["check_torch_node", "is_still", "run_torch_node", "torch_macs", "torch_node"]

KINDS = ("dtype", "layout", "memory_format", "device")
"""Classes of torch's of which arguments may be one, by name."""

MADE_OF_NUMBERS = {
    "arange", "bartlett_window", "blackman_window", "empty", "empty_permuted", "empty_strided",
    "eye", "full", "hamming_window", "hann_window", "kaiser_window", "linspace", "logspace", "ones",
    "scalar_tensor", "tril_indices", "triu_indices", "zeros",
}  # fmt: skip
"""Functions that may be called without a tensor."""

UNWRITTEN = {
    "empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided",
}  # fmt: skip
"""Functions whose tensors nobody has written; here they are zero, so that all runs agree and none
shows what was in memory."""

RESIZED = {"resize", "resize_as"}
"""Functions whose tensors nobody has written in part."""

RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def torch_node(node: Any) -> Node:
    """Return the node of one of torch.fx, whatever its operator is.

    Raises
    ------
    GraphError
        If it is no operator of aten, draws random numbers, or takes or makes what is no tensor.
    """
    import torch

    target = node.target
    where = f"node {node.name} ({getattr(target, '__name__', target)})"
    if hasattr(target, "_schema"):
        where = f"node {node.name} ({target})"
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        raise GraphError(
            f"{where}: only torch's own operators run on the host; write the module without it, or "
            "export it to ONNX"
        )
    kind = str(target).removeprefix("aten.")
    if not _allowed(target):
        raise GraphError(
            f"{where} does not only make tensors of tensors; do it outside of the module"
        )
    if _draws(target, node.args, node.kwargs):
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
    """Return whether a function of aten only computes: it makes tensors or numbers of tensors."""
    import torch

    if not isinstance(target, torch._ops.OpOverload):
        return False
    schema, name = target._schema, target._schema.name.removeprefix("aten::")
    made = all(
        any(kind in str(each.type) for kind in ("Tensor", "int", "float", "bool", "number"))
        for each in schema.returns
    )
    tensors = any("Tensor" in str(each.type) for each in schema.arguments)
    return bool(
        schema.returns and made and not schema.is_mutable and name not in RESIZED
        and (tensors or name in MADE_OF_NUMBERS)
    )  # fmt: skip


def _draws(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a call draws random numbers."""
    import torch

    seeded = torch.Tag.nondeterministic_seeded in target.tags
    return seeded and not _told_not_to(target, args, kwargs)


def is_still(node: Any) -> bool:
    """Return whether a node of torch.fx that could draw random numbers is told not to."""
    return _told_not_to(node.target, node.args, node.kwargs)


def _told_not_to(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    names = [argument.name for argument in target._schema.arguments]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    if "dropout_p" in names:
        return given.get("dropout_p", 0.0) == 0
    return given.get("train", given.get("training")) is False


def check_torch_node(node: Node) -> None:
    """Refuse such a node of a file that is damaged; what it calls is looked at when it runs.

    Raises
    ------
    GraphError
    """
    if not isinstance(node.attributes.get("kind"), str):
        raise GraphError(f"node {node.name} for torch has no kind; compile the model again")
    try:
        arguments = json.loads(node.attributes["arguments"])
        fits = isinstance(arguments["args"], list) and isinstance(arguments["kwargs"], dict)
    except (KeyError, TypeError, ValueError) as error:
        raise GraphError(f"{node} has no arguments ({error!r}); compile the model again") from error
    if not fits:
        raise GraphError(f"{node} has arguments of another form; compile the model again")


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
        raise ValueError("it does not only make tensors of tensors")
    arguments = json.loads(node.attributes["arguments"])
    args = [_decode(each, tensors) for each in arguments["args"]]
    named = {name: _decode(each, tensors) for name, each in arguments["kwargs"].items()}
    if _draws(target, args, named):
        raise ValueError("it draws random numbers")
    with torch.no_grad():
        made = target(*args, **named)
    return made.zero_() if name in UNWRITTEN else made


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
        if len(parts) != len(node.outputs):
            raise ValueError(f"it makes {len(parts)} parts, but the example's {len(node.outputs)}")
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
