"""Inputs like those of an example, on which a model is measured before it is rounded."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .graph import Graph
from .optimise.links import Links

__all__ = ["similar_inputs"]

TOKENS = 1024
"""About how many rows all inputs together should have."""

MOST = 32
"""Inputs, however small they are."""

SMALL = 16
"""Tables of so few rows are no vocabularies: kinds of sentences, for example."""

Arrays = dict[str, NDArray]


def similar_inputs(graph: Graph, example: Mapping[str, NDArray], *, seed: int = 0) -> list[Arrays]:
    """Return the example and random inputs of its shapes.

    Floats have the example's mean and deviation. Integers that look up a vocabulary are any of it;
    other integers and booleans, which may be masks, are the example's.
    """
    rng = np.random.default_rng(seed)
    rows = max(math.prod(value.shape[:2]) for value in example.values())
    inputs = [dict(example)]
    rooms = {name: _rows(Links(graph), name) for name in example}
    for _ in range(min(MOST, -(-TOKENS // max(1, rows)))):
        inputs.append({name: _similar(rng, value, rooms[name]) for name, value in example.items()})
    return inputs


def _similar(rng: np.random.Generator, value: NDArray, rows: int) -> NDArray:
    if value.size and np.issubdtype(value.dtype, np.floating):
        drawn = rng.normal(value.mean(), value.std() or 1.0, value.shape)
        return drawn.astype(value.dtype)
    if rows > SMALL:
        return rng.integers(0, rows, value.shape).astype(value.dtype)
    return value


def _rows(links: Links, name: str) -> int:
    """Return the rows of the table that an input looks up; 0 if it does not."""
    for node in links.takers.get(name, []):
        if node.operator == "Gather" and node.inputs[1] == name:
            table = links.constant(node.inputs[0])
            if table is not None and table.ndim == 2:
                return len(table)
        if node.operator in ("Cast", "Identity") and (found := _rows(links, node.output)):
            return found
    return 0
