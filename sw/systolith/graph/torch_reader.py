"""Read modules of PyTorch: exported to aten's operators, and these turned into ours."""

import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import Dimension, Graph, GraphError, TensorType
from .torch_operators import Emitter
from .torch_proof import prove_graph
from .torch_types import numpy_dtype

__all__ = ["read_torch"]

NAMES = ("batch", "tokens", "size2", "size3")
"""What sizes that may change are called, in the order of the inputs."""


def read_torch(model: Any, example: Any) -> Graph:
    """Return the graph of a torch.nn.Module, or of what torch.export made of one.

    Sizes of the example that are 1, or that the module does not leave open, are fixed.

    Raises
    ------
    GraphError
        If it cannot be exported, has an operator or a type that is not supported, or if the graph
        does not compute what the module does (:func:`~systolith.graph.torch_proof.prove_graph`).
    """
    if hasattr(model, "graph_signature"):
        graph = _graph(model.run_decompositions({}))
        if model.example_inputs is not None:
            _prove(graph, model.module(), *model.example_inputs)
        return graph
    if example is None:
        raise GraphError(
            "a torch.nn.Module needs example_inputs: a tensor, a tuple of them, or a dict by name"
        )
    arguments, named = _arguments(example)
    graph = _graph(_export(model, arguments, named))
    with _inference(model):
        _prove(graph, model, arguments, named)
    return graph


def _prove(graph: Graph, module: Any, arguments: Any, named: Any) -> None:
    """Refuse a graph that is not what the module computes."""
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a person's module may have some
        prove_graph(graph, module, arguments, named)


def _graph(program: Any) -> Graph:
    """Return the graph of an exported program."""
    signature = program.graph_signature
    changed = [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
    if changed:
        raise GraphError(
            f"the module changes {changed[0]}, a buffer or an input, which would not be kept; "
            "write it so that it returns what it computes, without operators that end in _"
        )
    tensors = {**program.state_dict, **program.constants}
    emitter = Emitter(Graph({}, [], {}, []))
    sizes: dict[str, str] = {}
    targets = {spec.arg.name: spec.target for spec in signature.input_specs}
    made = {node.name for node in program.graph.nodes}
    for node in program.graph.nodes:
        if node.op == "placeholder" and targets.get(node.name) is not None:
            target = targets[node.name]
            emitter.graph.constants[node.name] = _array(target, tensors[target])
        elif node.op == "placeholder":
            emitter.graph.inputs[node.name] = _type(node, sizes)
        elif node.op == "call_function":
            emitter.convert(node)
    for number, output in enumerate(signature.user_outputs):
        if output not in made:
            raise GraphError(
                f"output {number} of the module is {output!r}, which is no tensor; return tensors "
                "only"
            )
    emitter.graph.outputs = list(signature.user_outputs)
    emitter.graph.check()
    return emitter.graph


def _arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return an example's tensors, in order and by name."""
    import torch

    def tensor(value: Any) -> Any:
        return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.asarray(value))

    if isinstance(example, Mapping):
        return (), {name: tensor(value) for name, value in example.items()}
    parts = example if isinstance(example, tuple | list) else (example,)
    return tuple(tensor(value) for value in parts), {}


def _export(model: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Export a module as it is, or, if that fails, as torch.fx traces it."""
    import torch

    for each in inspect.signature(model.forward).parameters.values():
        if each.kind is inspect.Parameter.VAR_KEYWORD and named.keys() - _named(model):
            raise GraphError(
                f"{type(model).__name__} takes any input by name, as **{each.name}, of which "
                "torch.export cannot tell the sizes; name each in forward's parameters"
            )
    with _inference(model):
        try:
            return _exported(torch, model, arguments, named)
        except Exception as error:  # torch has many, of which few are public
            reason = error
        try:
            return _exported(torch, torch.fx.symbolic_trace(model), arguments, named)
        except Exception:  # what the first one said is what matters
            pass
    line = next(iter(str(reason).strip().splitlines()), type(reason).__name__)
    raise GraphError(
        f"{type(model).__name__} cannot be exported by torch.export ({line}); control flow that "
        "depends on data, and what is no tensor, must be outside of the module"
    ) from reason


def _exported(torch: Any, model: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Return the exported program, whose sizes are open where they can be."""

    def opened(value: Any) -> dict[int, Any]:
        return {axis: torch.export.Dim.AUTO for axis in range(value.dim())}

    shapes: Any = {name: opened(value) for name, value in named.items()}
    if not named:
        shapes = tuple(opened(value) for value in arguments)
        fixed = _fixed_arguments(model)
        if fixed is not None:  # what a *parameter takes is one argument
            shapes = (*shapes[:fixed], shapes[fixed:])
    program = torch.export.export(model, arguments, named, dynamic_shapes=shapes)
    return program.run_decompositions({})


def _named(model: Any) -> set[str]:
    """Return the names of a module's parameters, without those of ``**parameter``."""
    return set(inspect.signature(model.forward).parameters)


def _fixed_arguments(model: Any) -> int | None:
    """Return how many arguments stand before those of a ``*parameter``; None without one."""
    kinds = [each.kind for each in inspect.signature(model.forward).parameters.values()]
    many = inspect.Parameter.VAR_POSITIONAL
    return kinds.index(many) if many in kinds else None


@contextmanager
def _inference(model: Any) -> Iterator[None]:
    """Put a module in the state in which it is used; its layers are to be seen one by one."""
    import torch

    training = [(part, part.training) for part in model.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's export of what torch itself will change
            yield
    finally:
        for part, mode in training:  # train() would change all of them
            part.training = mode
        torch.backends.mha.set_fastpath_enabled(fast)


def _array(name: str, tensor: Any) -> NDArray:
    """Return the value of a parameter or a buffer."""
    try:
        return tensor.detach().cpu().numpy()
    except TypeError as error:
        raise GraphError(
            f"the tensor {name} is of {tensor.dtype}, which is not supported; call the module's "
            "float() first"
        ) from error


def _type(node: Any, sizes: dict[str, str]) -> TensorType:
    """Return the type of an input; ``sizes`` are names by torch's own."""
    value = node.meta["val"]
    shape: list[Dimension] = []
    for name in map(str, value.shape):  # numbers, also as symbols that were found to be some
        if name not in sizes and not name.isdigit():
            number = len(sizes)
            sizes[name] = NAMES[number] if number < len(NAMES) else f"size{number}"
        shape.append(int(name) if name.isdigit() else sizes[name])
    return TensorType(numpy_dtype(value.dtype, f"the input {node.name}"), tuple(shape))
