"""Find the type of every tensor by running the graph on small inputs, of two sizes.

Dimensions that do not change between the runs are numbers; the others follow one of the names
that the inputs' shapes have, or a product of two, by the sizes that these had. What else changes
depends on values, and is called "?".
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .executor import run
from .graph import Dimension, Graph, GraphError, TensorType

__all__ = ["SIZES", "infer", "probe", "probe_some", "random_feeds", "symbols"]

SIZES = (
    ((2, 3), (5, 7), (11, 13), (17, 19)),
    ((2, 3), (67, 71), (73, 79), (83, 89)),
)
"""The sizes of each name in the two runs; no two products are the same in both. The second row is
tried if the first is too small, for windows over pictures for example."""

MOST = 1 << 28
"""Elements of an input; no memory is taken for what a damaged file says that it has."""

Row = tuple[tuple[int, int], ...]
Observed = dict[str, tuple[np.dtype, tuple[int, ...]]]
T = TypeVar("T")


def symbols(graph: Graph) -> list[str]:
    """Return the names in the inputs' shapes."""
    found = (size for kind in graph.inputs.values() for size in kind.shape)
    return list(dict.fromkeys(size for size in found if isinstance(size, str)))


def random_feeds(
    graph: Graph, sizes: Mapping[str, int], *, seed: int = 0, index: int = 1
) -> dict[str, NDArray]:
    """Return inputs: normal floats; integers that are ``index`` and 0 in turn, booleans likewise.

    So masks let something pass, whatever a one or true means.
    """
    rng = np.random.default_rng(seed)
    feeds = {}
    for name, kind in graph.inputs.items():
        shape = [sizes[size] if isinstance(size, str) else size for size in kind.shape]
        if math.prod(shape) > MOST:
            raise GraphError(f"the input {name}, {kind}, has more than {MOST} elements")
        if np.issubdtype(kind.dtype, np.floating):
            feeds[name] = rng.normal(size=shape).astype(kind.dtype)
        else:
            turns = np.arange(shape[-1] if shape else 1) % 2 == (kind.dtype == np.bool)
            feeds[name] = np.broadcast_to(turns * index, shape).astype(kind.dtype)
    return feeds


def infer(graph: Graph) -> None:
    """Set the types of all tensors.

    Raises
    ------
    GraphError
        If a node's inputs do not go together.
    """
    graph.check()
    names = symbols(graph)
    if len(names) > len(SIZES[0]):
        raise GraphError(
            f"the inputs have {len(names)} sizes that may change, {', '.join(names)}; at most "
            f"{len(SIZES[0])} are possible: give the others as numbers"
        )

    def attempt(row: Row) -> tuple[Observed, Observed, Row]:
        first = _observe(graph, 0, row)
        return first, _observe(graph, 1, row) if names else first, row

    first, last, row = _first_that_works(attempt, len(names))
    for name, (_, shape) in first.items():
        if name in last and len(last[name][1]) != len(shape):
            raise GraphError(
                f"the tensor {name} has {len(shape)} axes for some sizes of the inputs, and "
                f"{len(last[name][1])} for others; export the model so that each has one rank"
            )
    pairs = dict(zip(names, row, strict=False))
    graph.types = {
        name: TensorType(dtype, _shape(shape, last[name][1], pairs))
        for name, (dtype, shape) in first.items() if name in last
    }  # fmt: skip
    for name, value in graph.constants.items():
        graph.types[name] = TensorType(value.dtype, value.shape)
    graph.types.update(graph.inputs)


def probe(graph: Graph, *, which: int = 0, seed: int = 0) -> dict[str, NDArray]:
    """Return the values of all tensors in a run of random inputs of the first or second sizes.

    Integers may be indices: they are 1 or 0, or, if there is no 1, all 0.

    Raises
    ------
    GraphError
        If a node's inputs do not go together.
    """
    values = dict(graph.constants)
    feeds, _ = probe_some(graph, (), which=which, seed=seed, keep=values.__setitem__)
    return {**values, **feeds}


def probe_some(
    graph: Graph, wanted: Sequence[str], *, which: int = 0, seed: int = 0,
    keep: Callable[[str, NDArray], None] | None = None,
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:  # fmt: skip
    """Return inputs and some tensors of such a run; others are only shown, so that they take no
    memory when they have been used.

    Raises
    ------
    GraphError
        If a node's inputs do not go together.
    """
    names = symbols(graph)

    def attempt(row: Row) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
        sizes = {name: pair[which] for name, pair in zip(names, row, strict=False)}
        return _probe_sizes(graph, wanted, sizes, seed, keep)

    return _first_that_works(attempt, len(names))


def _probe_sizes(
    graph: Graph, wanted: Sequence[str], sizes: Mapping[str, int], seed: int,
    keep: Callable[[str, NDArray], None] | None,
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:  # fmt: skip
    """Return inputs of some sizes, and tensors that follow from them."""

    def attempt(index: int) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
        feeds = random_feeds(graph, sizes, seed=seed, index=index)
        return feeds, run(graph, feeds, wanted or graph.outputs, keep=keep)

    try:
        return attempt(1)
    except GraphError:
        return attempt(0)


def _first_that_works(attempt: Callable[[Row], T], names: int) -> T:
    """Return what can be made with the first of the sizes with which it can."""
    try:
        return attempt(SIZES[0])
    except GraphError:
        if names < 2:  # of a batch alone larger ones are no help
            raise
        try:
            return attempt(SIZES[1])
        except GraphError:
            pass
        raise  # what is wrong is the same with smaller numbers in it


def _observe(graph: Graph, which: int, row: Row) -> Observed:
    """Return type and shape of each tensor in a run of the smaller sizes, 0, or the larger, 1."""
    seen = {name: (value.dtype, value.shape) for name, value in graph.constants.items()}

    def look(name: str, value: NDArray) -> None:
        seen[name] = value.dtype, value.shape

    sizes = {name: pair[which] for name, pair in zip(symbols(graph), row, strict=False)}
    feeds, _ = _probe_sizes(graph, (), sizes, 0, look)
    return {**seen, **{name: (value.dtype, value.shape) for name, value in feeds.items()}}


def _shape(
    first: tuple[int, ...], last: tuple[int, ...], pairs: Mapping[str, tuple[int, int]]
) -> tuple[Dimension, ...]:
    return tuple(
        one if one == other else next(_explanations(one, other, pairs), "?")
        for one, other in zip(first, last, strict=True)
    )


def _explanations(one: int, other: int, pairs: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """Yield in what way two sizes follow from those of names: itself, a multiple, a product."""
    for name, (low, high) in pairs.items():
        if one % low == 0 and other == one // low * high:
            times = one // low
            yield name if times == 1 else f"{times}*{name}"
    for (a, (low, high)), (b, (less, more)) in itertools.combinations(pairs.items(), 2):
        if one % (low * less) == 0 and other == one // (low * less) * high * more:
            times = one // (low * less)
            yield f"{a}*{b}" if times == 1 else f"{times}*{a}*{b}"
    for name, (low, high) in pairs.items():
        if one - low == other - high:
            yield f"{name}{one - low:+d}"
