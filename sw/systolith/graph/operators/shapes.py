"""Operators that change or make shapes."""

import numpy as np

__all__ = ["SHAPES"]


def _numbers(given):
    return [int(value) for value in np.reshape(given, -1)]


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
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(_numbers(shape)))).copy()


def _shape(attributes, x):
    return np.array(x.shape[attributes.get("start", 0) : attributes.get("end")], np.int64)


def _range(attributes, start, end, step):
    return np.arange(start.item(), end.item(), step.item(), dtype=start.dtype)


def _fill(attributes, shape):
    value = np.asarray(attributes.get("value", np.zeros(1, np.float32)))
    return np.full(_numbers(shape), value.reshape(-1)[0], value.dtype)


def _pad(attributes, x, pads, value=None, axes=None):
    if attributes.get("mode", "constant") != "constant":
        raise ValueError("only constants are padded")
    axes = range(x.ndim) if axes is None else _numbers(axes)
    sizes = np.reshape(pads, (2, -1))
    widths = [(0, 0)] * x.ndim
    for axis, low, high in zip(axes, *sizes.tolist(), strict=True):
        widths[axis] = (low, high)
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
    "Tile": lambda attributes, x, repeats: np.tile(x, _numbers(repeats)),
}  # fmt: skip
