"""From the operators of torch's aten to ours; those that have none stay nodes for torch."""

import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .graph import Graph, GraphError, Node
from .torch_node import is_still, torch_node
from .torch_sizes import convert_number, is_of_numbers
from .torch_types import dtype_of, is_tensor, numpy_dtype

__all__ = ["FAR", "Emitter", "NotHereError"]

FAR = int(np.iinfo(np.int64).max)
"""An end that is none."""

SKIPPED = {"_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range_for_size"}

SAME = {"clone", "contiguous", "detach", "alias", "dropout", "lift_fresh_copy", "detach_copy"}
"""Operators that pass on their first argument."""

BOOLEAN = {"bitwise_not", "bitwise_and", "bitwise_or"}
"""Operators of bits, which are ours for booleans only."""

PROMOTED = {"add", "sub", "mul", "div", "pow", "maximum", "minimum"}
"""Operators whose inputs become of the type of the result."""

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


class NotHereError(Exception):
    """An operator with arguments that have no counterpart among ours; torch computes it."""


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
        """Return the tensor of a node of torch's, or of a number, of the type of ``like``.

        Raises
        ------
        NotHereError
            If that type does not have the number.
        """
        return value.name if hasattr(value, "op") else self.typed(value, dtype_of(like))

    def typed(self, value: Any, kind: np.dtype) -> str:
        """Return the tensor of a node of torch's, or of a number, as one of some type.

        Raises
        ------
        NotHereError
            If that type does not have the number.
        """
        if is_tensor(value):
            return value.name if dtype_of(value) == kind else self.cast(value.name, kind)
        node = hasattr(value, "op")
        own = dtype_of(value) if node else np.dtype(type(value))
        if "biuf".index(own.kind) > "biuf".index(kind.kind.replace("u", "i")):
            raise NotHereError(f"{value} as {kind}")
        if node:
            return value.name if own == kind else self.cast(value.name, kind)
        return self._constant(np.array(value, kind))

    def alike(self, one: Any, other: Any) -> list[str]:
        """Return two tensors, or a tensor and a number, of the type in which torch takes both."""
        tensors = [value for value in (one, other) if is_tensor(value)]
        kind = dtype_of(tensors[0])
        if len(tensors) == 2:
            import torch

            both = torch.result_type(*(value.meta["val"] for value in tensors))
            kind = numpy_dtype(both, f"what {tensors[0].name} and {tensors[1].name} become")
        return [self.typed(value, kind) for value in (one, other)]

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
            If neither we nor torch's own functions have its operator, or its types.
        """
        before = len(self.graph.nodes)
        try:
            self._convert(node)
        except NotHereError:
            del self.graph.nodes[before:]
            self.graph.nodes.append(torch_node(node))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, GraphError):
                raise
            raise GraphError(
                f"node {node.name} ({node.target}) has arguments that are not understood "
                f"({error}); write the module without it, or export it to ONNX"
            ) from error

    def _convert(self, node: Any) -> None:
        """Append it as nodes of ours.

        Raises
        ------
        NotHereError
            If there are none.
        """
        from .torch_converters import CONVERTERS

        args = node.args
        name = str(node.target).removeprefix("aten.").partition(".")[0]
        if any(dtype_of(one).kind == "c" for one in (node, *args)):
            raise NotHereError("complex numbers")
        if is_of_numbers(node.target):
            convert_number(self, node)
        elif node.target is operator.getitem:
            source, index = args
            self.emit("Identity", f"{source.name}.{index}", makes=node)
        elif name in SKIPPED:
            return
        elif name == "dropout" and not is_still(node):
            raise NotHereError("training")
        elif name in SAME:
            self.emit("Identity", args[0].name, makes=node)
        elif name in BOOLEAN and dtype_of(node) != np.bool:
            raise NotHereError("bits")
        elif name in UNARY and len(args) == 1 and not node.kwargs:
            kind = dtype_of(node)  # of integers a root, for example, is a float
            same = kind in (dtype_of(args[0]), np.bool)
            self.emit(UNARY[name], args[0].name if same else self.cast(args[0].name, kind),
                      makes=node)  # fmt: skip
        elif name in BINARY and len(args) == 2 and not node.kwargs:
            self._binary(name, node)
        elif name in CONVERTERS:
            converter: Callable[..., None] = CONVERTERS[name]
            try:
                inspect.signature(converter).bind(self, node, *args, **node.kwargs)
            except TypeError as error:
                raise NotHereError("arguments") from error
            converter(self, node, *args, **node.kwargs)
        else:
            raise NotHereError(name)

    def _binary(self, name: str, node: Any) -> None:
        """Append an operator of two tensors, or of a tensor and a number."""
        one, other = node.args
        if name in PROMOTED:
            names = [self.typed(value, dtype_of(node)) for value in (one, other)]
        else:
            names = self.alike(one, other)
        self.emit(BINARY[name], *names, makes=node)
