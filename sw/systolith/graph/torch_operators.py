"""From the operators of torch's aten to ours."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .graph import Graph, GraphError, Node

__all__ = ["FAR", "Emitter", "dtype_of"]

FAR = int(np.iinfo(np.int64).max)
"""An end that is none."""

SKIPPED = {"_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range_for_size"}

SAME = {"clone", "contiguous", "detach", "alias", "dropout", "lift_fresh_copy", "detach_copy"}
"""Operators that pass on their first argument."""

UNARY = {
    "relu": "Relu", "silu": "Silu", "tanh": "Tanh", "sigmoid": "Sigmoid", "exp": "Exp",
    "erf": "Erf", "sqrt": "Sqrt", "neg": "Neg", "abs": "Abs", "sin": "Sin", "cos": "Cos",
    "log": "Log", "reciprocal": "Reciprocal", "logical_not": "Not", "bitwise_not": "Not",
    "floor": "Floor", "isnan": "IsNaN",
}  # fmt: skip

BINARY = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "maximum": "Max",
    "minimum": "Min", "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater",
    "ge": "GreaterOrEqual", "logical_and": "And", "logical_or": "Or", "bitwise_and": "And",
    "bitwise_or": "Or", "matmul": "MatMul", "mm": "MatMul", "bmm": "MatMul",
}  # fmt: skip

NUMBERS = {operator.add: "Add", operator.sub: "Sub", operator.mul: "Mul", operator.floordiv: "Div"}
"""What torch computes of sizes."""


class Emitter:
    """Appends nodes to a graph, which make what nodes of torch.fx do.

    Parameters
    ----------
    graph : Graph
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._count = 0

    # -- what converters use -----------------------------------------------------------------

    def emit(self, kind: str, *inputs: str, makes: Any = None, **attributes: Any) -> str:
        """Append a node, and return what it makes: the value of ``makes``, a node of torch's."""
        name = makes.name if makes is not None else self._fresh()
        self.graph.nodes.append(Node(kind, inputs, (name,), attributes))
        return name

    def cast(self, name: str, dtype: np.dtype, *, makes: Any = None) -> str:
        """Append a conversion."""
        return self.emit("Cast", name, makes=makes, **{"to": dtype})

    def split(self, name: str, sizes: Sequence[int], axis: int, node: Any) -> None:
        """Append a node that makes the parts of a list of torch's."""
        parts = tuple(f"{node.name}.{number}" for number in range(len(sizes)))
        inputs = (name, self.numbers(*sizes))
        self.graph.nodes.append(Node("Split", inputs, parts, {"axis": axis}, node.name))

    def part(self, node: Any, number: int, kind: str, *inputs: str, **attributes: Any) -> None:
        """Append a node that makes one part of a list of torch's."""
        name = f"{node.name}.{number}"
        self.graph.nodes.append(Node(kind, inputs, (name,), attributes))

    def numbers(self, *values: int) -> str:
        """Return a constant of some integers."""
        return self._constant(np.array(values, np.int64))

    def tensor(self, value: Any, like: Any = None) -> str:
        """Return the tensor of a node of torch's, or of a number, of the type of ``like``."""
        if hasattr(value, "op"):
            return value.name
        return self._constant(np.array(value, dtype_of(like)))

    def sizes(self, values: Sequence[Any]) -> str:
        """Return a tensor of sizes, some of which may be known only in a run."""
        if all(isinstance(value, int) for value in values):
            return self.numbers(*values)
        axis = self.numbers(0)
        parts = [
            self.emit("Unsqueeze", value.name, axis) if hasattr(value, "op")
            else self.numbers(value)
            for value in values
        ]  # fmt: skip
        return self.emit("Concat", *parts, axis=0)

    def _constant(self, value: np.ndarray) -> str:
        name = self._fresh()
        self.graph.constants[name] = value
        return name

    def _fresh(self) -> str:
        """Return a name that torch gives to no node."""
        self._count += 1
        return f"own.{self._count}"

    # -- nodes of torch's --------------------------------------------------------------------

    def convert(self, node: Any) -> None:
        """Append what a node of torch's does.

        Raises
        ------
        GraphError
            If its operator is unknown.
        """
        if node.target in NUMBERS:
            names = [self.tensor(value) for value in node.args]
            self.emit(NUMBERS[node.target], *names, makes=node)
        elif node.target is operator.getitem:
            source, index = node.args
            self.emit("Identity", f"{source.name}.{index}", makes=node)
        else:
            name = str(node.target).removeprefix("aten.").partition(".")[0]
            self._convert(name, node)

    def _convert(self, name: str, node: Any) -> None:
        from .torch_converters import CONVERTERS

        args = node.args
        if name in SKIPPED:
            return
        if name in SAME:
            self.emit("Identity", args[0].name, makes=node)
        elif name in UNARY:
            self.emit(UNARY[name], args[0].name, makes=node)
        elif name in BINARY:
            self._binary(name, node)
        elif name in CONVERTERS:
            converter: Callable[..., None] = CONVERTERS[name]
            converter(self, node, *args, **node.kwargs)
        else:
            raise GraphError(
                f"node {node.name} ({node.target}): torch's operator {name} is not supported; "
                "write the module without it, or export it to ONNX"
            )

    def _binary(self, name: str, node: Any) -> None:
        """Append an operator of two tensors, or of a tensor and a number."""
        one, other = node.args[:2]
        if node.kwargs.get("alpha", 1) != 1 or node.kwargs.get("rounding_mode"):
            raise GraphError(f"node {node.name}: {name} with {dict(node.kwargs)} is not supported")
        like = one if hasattr(one, "op") else other
        names = [self.tensor(value, like) for value in (one, other)]
        if name in ("add", "sub", "mul", "div"):  # types that differ become that of the result
            kind = dtype_of(node)
            names = [
                tensor if dtype_of(value if hasattr(value, "op") else like) == kind
                else self.cast(tensor, kind)
                for value, tensor in zip((one, other), names, strict=True)
            ]  # fmt: skip
        self.emit(BINARY[name], *names, makes=node)


def dtype_of(node: Any) -> np.dtype:
    """Return the type of a node of torch's; sizes are int64."""
    value = getattr(node, "meta", {}).get("val")
    kind = str(getattr(value, "dtype", "torch.int64"))
    return np.dtype(kind.removeprefix("torch."))
