"""Types of what nodes of torch.fx make, as numpy has them."""

from typing import Any

import numpy as np

from .graph import GraphError

__all__ = ["dtype_of", "is_tensor", "numpy_dtype"]

NUMBERS = {"SymFloat": np.float64, "float": np.float64, "SymBool": np.bool, "bool": np.bool}
"""By classes of numbers; all others are whole ones."""


def numpy_dtype(kind: Any, where: str) -> np.dtype:
    """Return numpy's type for torch's.

    Raises
    ------
    GraphError
        If numpy does not have it; ``where`` says whose it is.
    """
    name = str(kind).removeprefix("torch.")
    known = getattr(np, name, None)  # np.dtype also knows types that other packages add
    if not isinstance(known, type):
        raise GraphError(
            f"{where} is of {name}, which is not supported; use float32, also within the module"
        )
    return np.dtype(known)


def dtype_of(node: Any) -> np.dtype:
    """Return the type of what a node of torch's makes; sizes are int64.

    Raises
    ------
    GraphError
        If numpy does not have it.
    """
    value: Any = getattr(node, "meta", {}).get("val")
    if not hasattr(value, "dtype"):
        return np.dtype(NUMBERS.get(type(value).__name__, np.int64))
    return numpy_dtype(value.dtype, f"what node {node.name} ({node.target}) makes")


def is_tensor(value: Any) -> bool:
    """Return whether an argument is a node of torch's that makes a tensor, and no number."""
    return hasattr(value, "op") and hasattr(value.meta.get("val"), "dtype")
