"""Where the operands of attention come from, whatever moved their elements about.

Tensors of queries, keys and values have heads apart; what made them so is not read, but tried:
the source's elements are numbered, and the numbers tell where each of them went.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..executor import run
from ..graph import Node
from .links import LAYOUT, Links

__all__ = ["MOVES", "Sizes", "Source", "find_source", "moved"]

MOVES = LAYOUT | {"Slice", "Split", "Gather", "Expand", "Tile"}
"""Operators that may stand between a projection and attention."""

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Sizes:
    """Sizes of attention in the run that is looked at.

    Parameters
    ----------
    batch, heads, tokens, features : int
        ``features`` are those of a head.
    """

    batch: int
    heads: int
    tokens: int
    features: int


@dataclass(frozen=True)
class Source:
    """The tensor that an operand of attention is a part of.

    Parameters
    ----------
    name : str
        (batch, tokens, N), or (tokens, batch, N) if ``tokens_first``.
    columns : (H, D) integers
        Which of the N each feature of a head is.
    factor : float
        What they are multiplied by.
    """

    name: str
    columns: Integers
    factor: float
    tokens_first: bool


def find_source(links: Links, name: str, sizes: Sizes, *, keys: bool = False) -> Source | None:
    """Return where an operand (..., tokens, D) is from, of ``keys`` (..., D, tokens)."""
    chain: list[Node] = []
    source = name
    while node := _move(links, source):
        chain.append(node)
        source = next(one for one in node.inputs if links.constant(one) is None)
    value = links.values[source]
    if value.ndim != 3:
        return None
    ones = _follow(links, chain, source, np.ones_like(value), name)
    factor = float(ones.reshape(-1)[0])
    numbers = np.arange(1, value.size + 1, dtype=np.float64).reshape(value.shape)
    places = np.rint(_follow(links, chain, source, numbers, name) / factor).astype(np.int64) - 1
    places = places.swapaxes(-1, -2) if keys else places
    shape = (sizes.batch, sizes.heads, sizes.tokens, sizes.features)
    if factor == 0 or not np.allclose(ones, factor) or places.size != np.prod(shape):
        return None
    places = places.reshape(shape)
    rows, columns = np.divmod(places, value.shape[-1])
    batch, tokens = np.ogrid[: sizes.batch, : sizes.tokens]
    for tokens_first, row in ((False, batch * sizes.tokens + tokens),
                              (True, tokens * sizes.batch + batch)):  # fmt: skip
        if (rows == row[:, None, :, None]).all() and (columns == columns[:1, :, :1]).all():
            return Source(source, columns[0, :, 0], factor, tokens_first)
    return None


def moved(links: Links, name: str) -> tuple[str, list[Node]]:
    """Return the last tensor that nodes make which only move elements, and those nodes."""
    chain: list[Node] = []
    while node := links.only_taker(name):
        if node.operator not in LAYOUT or node.inputs[0] != name:
            break
        chain.append(node)
        name = node.output
    return name, chain


def _move(links: Links, name: str) -> Node | None:
    """Return what makes a tensor, if it moves elements, or multiplies all by one constant."""
    node = links.maker(name)
    if node is None or links.values[name].ndim < 3:
        return None
    if node.operator in MOVES and links.constant(node.inputs[0]) is None:
        return node
    found = links.with_constant(node) if node.operator in ("Mul", "Div") else None
    return node if found and found[1].size == 1 and found[0] == node.inputs[0] else None


def _follow(
    links: Links, chain: list[Node], source: str, value: NDArray, name: str
) -> NDArray:
    """Return what a chain of nodes makes of a value of its source."""
    made = {output for node in chain for output in node.outputs}
    feeds = {key: other for key, other in links.values.items() if key not in made}
    return run(links.graph, {**feeds, source: value.astype(np.float64)}, [name])[name]
