"""What a person gives a model: arrays or tensors, in order or by name."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import Graph, GraphError
from .shapes import random_feeds, symbols

__all__ = ["example_of", "named_inputs", "to_array"]

TYPICAL = (2, 16, 8, 4)
"""Sizes of an example that nobody gives."""


def to_array(value: Any) -> NDArray:
    """Return an array, maybe of a tensor of torch's."""
    detach = getattr(value, "detach", None)
    return np.asarray(detach().cpu().numpy() if detach else value)


def example_of(graph: Graph, given: Any) -> dict[str, NDArray]:
    """Return typical inputs by name: random ones if none are given.

    Raises
    ------
    GraphError
        As :func:`named_inputs`.
    """
    if given is None:
        sizes = dict(zip(symbols(graph), TYPICAL, strict=False))
        return random_feeds(graph, sizes)
    return named_inputs(graph, given)


def named_inputs(graph: Graph, given: Any) -> dict[str, NDArray]:
    """Return the inputs by name.

    Raises
    ------
    GraphError
        If one is missing, or has another type or shape than the model says, or a number that its
        type does not have.
    """
    if given is None:
        raise GraphError(f"no inputs are given; the model has {', '.join(graph.inputs)}")
    arrays = {name: to_array(value) for name, value in _by_name(graph, given).items()}
    bound: dict[str, tuple[int, str]] = {}
    for name, kind in graph.inputs.items():
        if name not in arrays:
            raise GraphError(f"the input {name}, {kind}, is not given")
        arrays[name] = _converted(name, arrays[name], kind.dtype)
        _check_shape(name, arrays[name].shape, kind.shape, bound)
    return arrays


def _by_name(graph: Graph, given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        more = [str(name) for name in given if name not in graph.inputs]
        if more:
            raise GraphError(
                f"the model has no input {more[0]}; it has {', '.join(graph.inputs)}"
            )
        return dict(given)
    parts = list(given) if isinstance(given, Sequence) else [given]
    if len(parts) > len(graph.inputs):
        raise GraphError(
            f"{len(parts)} inputs are given, but the model has {len(graph.inputs)}: "
            f"{', '.join(graph.inputs)}; a list is one input for each of these"
        )
    return dict(zip(graph.inputs, parts, strict=False))


def _converted(name: str, value: NDArray, dtype: np.dtype) -> NDArray:
    """Return a value of the type that the model says, if that is a number of the same kind."""
    same = value.dtype.kind == dtype.kind or {value.dtype.kind, dtype.kind} <= {"i", "u"}
    if not same:
        raise GraphError(f"the input {name} must be of {dtype}, not of {value.dtype}; convert it")
    if dtype.kind in "iu" and value.size:
        limits, least, most = np.iinfo(dtype), int(value.min()), int(value.max())
        if least < limits.min or most > limits.max:
            raise GraphError(
                f"the input {name} has numbers of {least} to {most}, but {dtype} has only "
                f"{limits.min} to {limits.max}"
            )
    return value.astype(dtype)


def _check_shape(
    name: str, got: tuple[int, ...], want: tuple[int | str, ...], bound: dict[str, tuple[int, str]]
) -> None:
    if len(got) != len(want):
        raise GraphError(f"the input {name} must have the shape {_text(want)}, not {_text(got)}")
    for size, expected in zip(got, want, strict=True):
        number, owner = bound.setdefault(expected, (size, name)) if isinstance(
            expected, str) else (expected, "")  # fmt: skip
        if size != number:
            where = f", and {expected} is {number} in {owner}" if owner else ""
            raise GraphError(
                f"the input {name} must have the shape {_text(want)}, not {_text(got)}{where}"
            )


def _text(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
