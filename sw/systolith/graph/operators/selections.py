"""Operators that pick elements."""

import numpy as np

__all__ = ["SELECTIONS"]


def _numbers(given):
    return None if given is None else [int(value) for value in np.reshape(given, -1)]


def _gather(attributes, x, indices):
    return np.take(x, indices, axis=attributes.get("axis", 0))


def _gather_many(attributes, x, indices):
    if attributes.get("batch_dims", 0):
        raise ValueError("batch_dims is not here; it must be 0")
    return x[tuple(np.moveaxis(indices, -1, 0))]


def _gather_elements(attributes, x, indices):
    axis = attributes.get("axis", 0)
    # Indices may be fewer than there are elements, along every axis; numpy would broadcast them.
    kept = [slice(size) for size in indices.shape]
    kept[axis] = slice(None)
    return np.take_along_axis(x[tuple(kept)], indices, axis=axis)


def _bounds(size, start, end, step):
    """Return the elements of an axis that ONNX means: both ends are moved into it first."""
    start, end = (place + size if place < 0 else place for place in (start, end))
    if step > 0:
        return slice(min(max(start, 0), size), min(max(end, 0), size), step)
    start, end = (min(max(place, least), size - 1) for place, least in ((start, 0), (end, -1)))
    return slice(start, None if end < 0 else end, step)


def _slice(attributes, x, starts=None, ends=None, axes=None, steps=None):
    starts, ends = _numbers(starts), _numbers(ends)
    axes = _numbers(axes) or list(range(len(starts)))
    steps = _numbers(steps) or [1] * len(starts)
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = _bounds(x.shape[axis], start, end, step)
    return x[tuple(index)]


def _split(attributes, x, sizes=None):
    axis = attributes.get("axis", 0)
    size, sizes = x.shape[axis], _numbers(sizes)
    if sizes is None:
        count = attributes["num_outputs"]
        if count < 1 or (attributes.get("equal") and size % count):
            raise ValueError(f"{size} cannot be cut in {count} equal parts")
        part = -(-size // count)
        sizes = [part] * (count - 1) + [size - part * (count - 1)]
    if min(sizes, default=0) < 0 or sum(sizes) != size:
        raise ValueError(f"parts of {sizes} are not the {size} that there are")
    return np.split(x, np.cumsum(sizes)[:-1], axis=axis)


def _triangle(attributes, x, k=None):
    place = 0 if k is None else int(k)
    return np.triu(x, place) if attributes.get("upper", 1) else np.tril(x, place)


SELECTIONS = {
    "Gather": _gather, "GatherND": _gather_many, "GatherElements": _gather_elements,
    "Slice": _slice, "Split": _split, "Trilu": _triangle,
}  # fmt: skip
