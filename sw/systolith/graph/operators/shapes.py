"""Operators that change or make shapes."""

import math

import numpy as np

__all__ = ["SHAPES"]

MOST = 1 << 30
"""Elements that a tensor may get: a number in a damaged file does not take all memory."""


def _numbers(given):
    return [int(value) for value in np.reshape(given, -1)]


def _made(shape):
    """Return a shape that a tensor can be made of."""
    if min(shape, default=0) < 0 or math.prod(shape) > MOST:
        raise ValueError(f"a shape {list(shape)} is below zero or has more than {MOST} elements")
    return tuple(shape)


def _reshape(attributes, x, shape):
    sizes = _numbers(shape)
    if not attributes.get("allowzero", 0):
        if 0 in sizes[x.ndim :]:
            raise ValueError(f"the new shape {sizes} keeps a size that is not there")
        sizes = [x.shape[at] if size == 0 else size for at, size in enumerate(sizes)]
    return x.reshape(sizes)


def _transpose(attributes, x):
    return x.transpose(attributes.get("perm"))


def _flatten(attributes, x):
    axis = attributes.get("axis", 1)
    return x.reshape(int(np.prod(x.shape[:axis], dtype=np.int64)), -1)


def _squeeze(attributes, x, axes=None):
    return np.squeeze(x, None if axes is None else tuple(_numbers(axes)))


def _unsqueeze(attributes, x, axes):
    return np.expand_dims(x, tuple(_numbers(axes)))


def _expand(attributes, x, shape):
    sizes = _made(_numbers(shape))
    return np.broadcast_to(x, _made(np.broadcast_shapes(x.shape, sizes))).copy()


def _shape(attributes, x):
    return np.array(x.shape[attributes.get("start", 0) : attributes.get("end")], np.int64)


def _range(attributes, start, end, step):
    kind = start.dtype
    start, end, step = start.item(), end.item(), step.item()
    _made([max(0, math.ceil((end - start) / step))])
    return np.arange(start, end, step, dtype=kind)


def _fill(attributes, shape):
    value = np.asarray(attributes.get("value", np.zeros(1, np.float32)))
    return np.full(_made(_numbers(shape)), value.reshape(-1)[0], value.dtype)


def _tile(attributes, x, repeats):
    times = _numbers(repeats)
    _made([size * count for size, count in zip(x.shape, times, strict=True)])
    return np.tile(x, times)


def _pad(attributes, x, pads, value=None, axes=None):
    if attributes.get("mode", "constant") != "constant":
        raise ValueError("only constants are padded")
    axes = range(x.ndim) if axes is None else _numbers(axes)
    sizes = np.reshape(pads, (2, -1))
    widths = [(0, 0)] * x.ndim
    for axis, low, high in zip(axes, *sizes.tolist(), strict=True):
        widths[axis] = (low, high)
    if any(-low > size or -high > size or -low - high > size
           for size, (low, high) in zip(x.shape, widths, strict=True)):  # fmt: skip
        raise ValueError(f"pads {widths} take more than there is")
    _made([size + low + high for size, (low, high) in zip(x.shape, widths, strict=True)])
    kept = tuple(slice(max(0, -low), size - max(0, -high))
                 for size, (low, high) in zip(x.shape, widths, strict=True))  # fmt: skip
    widths = [(max(0, low), max(0, high)) for low, high in widths]
    filling = 0 if value is None else np.reshape(value, -1)[0]
    return np.pad(x[kept], widths, constant_values=filling)


SHAPES = {
    "Reshape": _reshape, "Transpose": _transpose, "Flatten": _flatten, "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze, "Expand": _expand, "Shape": _shape, "Range": _range,
    "Size": lambda attributes, x: np.array(x.size, np.int64), "ConstantOfShape": _fill,
    "Pad": _pad, "Concat": lambda attributes, *parts: np.concatenate(parts, attributes["axis"]),
    "Tile": _tile,
}  # fmt: skip
