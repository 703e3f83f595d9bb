"""Where queries and keys with rotary positions come from, however the turning is spelled.

What stands between a projection and the scores is not read, but tried. At position 0 nothing is
turned, so a projection whose columns are numbered tells where each feature of a head is from. If
only the first of each pair of features is 1, then cosines and sines come out at position 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_reference import rotary_rows

from ..executor import run
from ..graph import Node
from .links import Links

__all__ = ["Turned", "find_turned"]

EXACT = 1e-5
"""By which cosines and sines in float32 may be apart, and angles of position 1 as a share."""

DIGITS = 9
"""Of a base, at most: float32 tells no more."""

Integers = NDArray[np.int64]
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Turned:
    """The tensor that queries or keys, turned by their positions, are a part of.

    Parameters
    ----------
    name : str
        What a Linear makes, (batch, tokens, N).
    columns : (H, D) integers
        Which of the N each feature of a head is; those that turn together are side by side.
    factor : float
        What they are multiplied by.
    base : float
        Of rotary positions.
    """

    name: str
    columns: Integers
    factor: float
    base: float


def find_turned(links: Links, name: str, features: int, *, keys: bool = False) -> Turned | None:
    """Return where an operand (..., tokens, D) of scores is from, of ``keys`` (..., D, tokens)."""
    source = _projection(links, name)
    if source is None or links.values[source].ndim != 3:
        return None
    batch, tokens, width = links.values[source].shape

    def heads(row: NDArray) -> Floats | None:
        """Return the operand (H, tokens, D) that follows if all rows of the source are this."""
        value = np.broadcast_to(row.astype(np.float64), (batch, tokens, width))
        made = _follow(links, source, value, name)
        made = made.swapaxes(-1, -2) if keys else made
        if made.shape[-2:] != (tokens, features) or made.size % (batch * tokens * features):
            return None
        return made.reshape(batch, -1, tokens, features)[0]

    ones, numbered = heads(np.ones(width)), heads(np.arange(1, width + 1))
    if tokens < 2 or ones is None or numbered is None:
        return None
    factor = float(ones[0, 0, 0])
    if factor == 0 or not np.allclose(ones[:, 0], factor, rtol=EXACT):
        return None
    columns = np.rint(numbered[:, 0] / factor).astype(np.int64) - 1
    if not np.allclose(numbered[:, 0], (columns + 1) * factor, rtol=EXACT):
        return None
    for pairs in _pairings(features):
        first = np.isin(np.arange(width), columns[:, pairs[:, 0]])
        made = heads(first)
        base = None if made is None else _base(made[0][:, pairs] / factor)
        if base is not None:
            return Turned(source, columns[:, pairs.reshape(-1)], factor, base)
    return None


def _pairings(features: int) -> Iterator[Integers]:
    """Yield which features (D / 2, 2) of a head turn together: those of halves, or neighbours."""
    if features % 2 == 0:
        yield np.arange(features).reshape(2, -1).T
        yield np.arange(features).reshape(-1, 2)


def _base(turned: Floats) -> float | None:
    """Return the base whose angles turned (1, 0) to these (tokens, pairs, 2), if there is one.

    It is the roundest of those that do so in float32.
    """
    cosine, sine = turned[1].T
    features = 2 * len(cosine)
    angles = np.arctan2(sine, cosine)
    if not np.allclose(np.hypot(cosine, sine), 1, atol=EXACT) or angles.min() <= 0:
        return None
    found = angles[-1] ** (-features / (features - 2)) if features > 2 else 1e4
    for digits in range(DIGITS):
        base = float(f"{found:.{digits}e}")
        wanted = base ** (-np.arange(0, features, 2) / features)
        if np.allclose(angles, wanted, rtol=EXACT, atol=0) and _turns(turned, base):
            return base
    return None


def _turns(turned: Floats, base: float) -> bool:
    """Return whether all positions are turned as a base says."""
    tokens, pairs, _ = turned.shape
    rows = rotary_rows(np.arange(tokens), 2 * pairs, base)
    return np.allclose(turned, np.stack(rows, axis=-1), atol=EXACT)


def _projection(links: Links, name: str) -> str | None:
    """Return the only Linear's output that a tensor's values depend on."""
    found: set[str] = set()
    waiting, seen = [name], {name}
    while waiting:
        node = links.maker(waiting.pop())
        if node is None or node.operator == "Shape":
            continue
        if node.operator == "Linear":
            found.add(node.output)
            continue
        more = set(node.inputs) - seen
        waiting += more
        seen |= more
    return found.pop() if len(found) == 1 else None


def _follow(links: Links, source: str, value: NDArray, name: str) -> NDArray:
    """Return what becomes of a value of ``source``; sizes and positions stay as they are."""
    moved = {source}
    for node in links.graph.nodes:
        if _carries(node, moved):
            moved.update(node.outputs)
    feeds = {key: other for key, other in links.values.items() if key not in moved}
    return run(links.graph, {**feeds, source: value}, [name])[name]


def _carries(node: Node, moved: set[str]) -> bool:
    return node.operator != "Shape" and not moved.isdisjoint(node.inputs)
