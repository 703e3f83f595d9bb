"""What torch computes of sizes and other numbers: here they are tensors without axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .torch_types import dtype_of

if TYPE_CHECKING:
    from .torch_operators import Emitter

__all__ = ["convert_number", "is_of_numbers"]

KINDS = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "neg": "Neg", "mod": "Mod", "pow": "Pow",
    "truediv": "Div", "floordiv": "Div", "ge": "GreaterOrEqual", "gt": "Greater",
    "le": "LessOrEqual", "lt": "Less", "eq": "Equal", "and_": "And", "or_": "Or",
    "sym_not": "Not", "sym_min": "Min", "sym_max": "Max", "sym_float": "Cast",
}  # fmt: skip
"""By the names of functions of Python's and torch's."""


def is_of_numbers(target: Any) -> bool:
    """Return whether what a node of torch.fx calls takes numbers, and is here."""
    return not hasattr(target, "_schema") and getattr(target, "__name__", "") in KINDS


def convert_number(e: Emitter, node: Any) -> None:
    """Append what such a node does, with the types that Python has."""
    name, args = node.target.__name__, node.args
    kind = np.result_type(
        *(dtype_of(one) if hasattr(one, "op") else np.dtype(type(one)) for one in args)
    )
    if name in ("truediv", "sym_float"):
        kind = np.dtype(np.float64)
    values = [e.typed(one, kind) for one in args]
    if name == "sym_float":
        e.emit("Identity", *values, makes=node)
    elif name != "floordiv":
        e.emit(KINDS[name], *values, makes=node)
    elif kind.kind == "f":
        e.emit("Floor", e.emit("Div", *values), makes=node)
    else:  # Div truncates
        whole = e.emit("Sub", values[0], e.emit("Mod", *values))
        e.emit("Div", whole, values[1], makes=node)
