"""Operators of torch's aten that move or pick elements.

Each function takes the emitter, the node of torch.fx, and its arguments as torch has them.
"""

from typing import Any

from .torch_operators import FAR, Emitter, NotHereError
from .torch_types import dtype_of

__all__ = ["MOVES"]


def _reshape(e: Emitter, node: Any, x: Any, shape: Any) -> None:
    e.emit("Reshape", x.name, e.sizes(shape), makes=node)


def _transpose(e: Emitter, node: Any, x: Any, one: int, other: int) -> None:
    order = list(range(x.meta["val"].dim()))
    order[one], order[other] = order[other], order[one]
    e.emit("Transpose", x.name, makes=node, perm=order)


def _turn(e: Emitter, node: Any, x: Any) -> None:
    e.emit("Transpose", x.name, makes=node, perm=[1, 0])


def _permute(e: Emitter, node: Any, x: Any, order: Any) -> None:
    rank = x.meta["val"].dim()
    e.emit("Transpose", x.name, makes=node, perm=[axis % rank for axis in order])


def _unsqueeze(e: Emitter, node: Any, x: Any, axis: int) -> None:
    e.emit("Unsqueeze", x.name, e.numbers(axis), makes=node)


def _squeeze(e: Emitter, node: Any, x: Any, axes: Any = None) -> None:
    """Drop axes of size 1; of others torch leaves them."""
    sizes = x.meta["val"].shape
    given = range(len(sizes)) if axes is None else [axes] if isinstance(axes, int) else axes
    if not all(isinstance(sizes[axis], int) for axis in given):
        raise NotHereError("an axis that may have size 1 in a run")
    dropped = [axis for axis in given if sizes[axis] == 1]
    if dropped:
        e.emit("Squeeze", x.name, e.numbers(*dropped), makes=node)
    else:
        e.emit("Identity", x.name, makes=node)


def _expand(e: Emitter, node: Any, x: Any, shape: Any, **_: Any) -> None:
    sizes = [1 if isinstance(size, int) and size == -1 else size for size in shape]
    e.emit("Expand", x.name, e.sizes(sizes), makes=node)


def _repeat(e: Emitter, node: Any, x: Any, counts: Any) -> None:
    e.emit("Tile", x.name, e.sizes(counts), makes=node)


def _repeat_each(e: Emitter, node: Any, x: Any, count: int, axis: int, **_: Any) -> None:
    """Repeat each element of an axis in turn, whose size is the same in each run."""
    size = x.meta["val"].shape[axis]
    if not isinstance(size, int):
        raise NotHereError("an axis whose size may change")
    places = e.numbers(*(place for place in range(size) for _ in range(count)))
    e.emit("Gather", x.name, places, makes=node, axis=axis)


def _size(e: Emitter, node: Any, x: Any, axis: int) -> None:
    shape = e.emit("Shape", x.name)
    e.emit("Squeeze", e.emit("Gather", shape, e.numbers(axis), axis=0), e.numbers(0), makes=node)


def _select(e: Emitter, node: Any, x: Any, axis: int, index: Any) -> None:
    e.emit("Gather", x.name, e.tensor(index), makes=node, axis=axis)


def _slice(
    e: Emitter, node: Any, x: Any, axis: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> None:
    ends = (0 if start is None else start, FAR if end is None else end)
    e.emit("Slice", x.name, *(e.sizes([value]) for value in ends), e.numbers(axis),
           e.numbers(step), makes=node)  # fmt: skip


def _concatenate(e: Emitter, node: Any, parts: Any, axis: int = 0) -> None:
    e.emit("Concat", *(e.typed(part, dtype_of(node)) for part in parts), makes=node, axis=axis)


def _stack(e: Emitter, node: Any, parts: Any, axis: int = 0) -> None:
    kind = dtype_of(node)
    places = [e.emit("Unsqueeze", e.typed(part, kind), e.numbers(axis)) for part in parts]
    e.emit("Concat", *places, makes=node, axis=axis)


def _split(e: Emitter, node: Any, x: Any, given: Any, axis: int = 0) -> None:
    """Cut in as many parts as torch found, and of such sizes if they never change."""
    sizes = [part.shape[axis] for part in (x.meta["val"], *node.meta["val"])]
    if all(isinstance(size, int) for size in sizes):
        e.split(x.name, sizes[1:], axis, node)
        return
    if isinstance(given, list | tuple):
        raise NotHereError("parts whose sizes may change")
    size = e.sizes([given])
    ends = [e.emit("Mul", size, e.numbers(number)) for number in range(len(sizes))]
    for number in range(len(sizes) - 1):
        e.part(node, number, "Slice", x.name, *ends[number : number + 2], e.numbers(axis))


def _unbind(e: Emitter, node: Any, x: Any, axis: int = 0) -> None:
    for number in range(len(node.meta["val"])):
        e.part(node, number, "Gather", x.name, e.tensor(number), axis=axis)


def _embed(e: Emitter, node: Any, table: Any, indices: Any, *_: Any) -> None:
    e.emit("Gather", table.name, indices.name, makes=node, axis=0)


MOVES = {
    "view": _reshape, "reshape": _reshape, "_unsafe_view": _reshape, "transpose":
    _transpose, "t": _turn, "permute": _permute, "unsqueeze": _unsqueeze, "squeeze":
    _squeeze, "expand": _expand, "repeat": _repeat, "sym_size": _size, "select": _select,
    "repeat_interleave": _repeat_each,
    "slice": _slice, "cat": _concatenate, "stack": _stack, "chunk": _split, "split":
    _split, "split_with_sizes": _split, "unbind": _unbind, "embedding": _embed,
}  # fmt: skip
