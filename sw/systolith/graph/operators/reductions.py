"""Operators that join the elements along axes."""

import numpy as np

__all__ = ["REDUCTIONS"]


def _axes(attributes, axes, rank):
    """Return the axes, which are an attribute or an input; all of them if there are none."""
    given = attributes.get("axes") if axes is None else [int(axis) for axis in axes.reshape(-1)]
    if not given:
        return () if attributes.get("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(given)


def _reduce(function):
    def operator(attributes, x, axes=None):
        keep = bool(attributes.get("keepdims", 1))
        return function(x, _axes(attributes, axes, x.ndim), keep).astype(x.dtype)

    return operator


def _least(dtype):
    """Return what is no more than any number of a type."""
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def _most(dtype):
    """Return what is no less than any number of a type."""
    if dtype.kind == "f":
        return np.inf
    return True if dtype.kind == "b" else np.iinfo(dtype).max


def _argument(function):
    def operator(attributes, x):
        axis, keep = attributes.get("axis", 0), bool(attributes.get("keepdims", 1))
        if not attributes.get("select_last_index", 0):
            return function(x, axis=axis, keepdims=keep)
        return x.shape[axis] - 1 - function(np.flip(x, axis), axis=axis, keepdims=keep)

    return operator


def _shifted(x, axis):
    return x - x.max(axis=axis, keepdims=True)


def _softmax(attributes, x):
    axis = attributes.get("axis", -1)
    powers = np.exp(_shifted(x, axis))
    return powers / powers.sum(axis=axis, keepdims=True)


def _log_softmax(attributes, x):
    axis = attributes.get("axis", -1)
    shifted = _shifted(x, axis)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def _cumulate(attributes, x, axis):
    if attributes.get("exclusive", 0) or attributes.get("reverse", 0):
        raise ValueError("exclusive and reverse sums are not here")
    return np.cumsum(x, axis=int(axis), dtype=x.dtype)


def _widened(x):
    """Return what statistics are computed of: ONNX's stash_type, never fewer bits than float32."""
    return x.astype(np.promote_types(x.dtype, np.float32), copy=False)


def _normalize(attributes, x, gamma=None, beta=None):
    axis, wide = attributes.get("axis", -1) % x.ndim, _widened(x)
    axes = tuple(range(axis, x.ndim))
    centred = wide - wide.mean(axis=axes, keepdims=True)
    square = (centred**2).mean(axis=axes, keepdims=True)
    y = centred / np.sqrt(square + np.asarray(attributes.get("epsilon", 1e-5), wide.dtype))
    y = y.astype(x.dtype, copy=False)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def _normalize_rms(attributes, x, gamma=None):
    axes, wide = tuple(range(attributes.get("axis", -1) % x.ndim, x.ndim)), _widened(x)
    square = (wide**2).mean(axis=axes, keepdims=True)
    y = wide / np.sqrt(square + np.asarray(attributes.get("epsilon", 1e-5), wide.dtype))
    y = y.astype(x.dtype, copy=False)
    return y if gamma is None else y * gamma


REDUCTIONS = {
    "ReduceMean": _reduce(lambda x, axes, keep: x.mean(axis=axes, keepdims=keep)),
    "ReduceSum": _reduce(lambda x, axes, keep: x.sum(axis=axes, keepdims=keep)),
    "ReduceMax": _reduce(lambda x, axes, keep: x.max(
        axis=axes, keepdims=keep, initial=_least(x.dtype))),
    "ReduceMin": _reduce(lambda x, axes, keep: x.min(
        axis=axes, keepdims=keep, initial=_most(x.dtype))),
    "ReduceProd": _reduce(lambda x, axes, keep: x.prod(axis=axes, keepdims=keep)),
    "ReduceL2": _reduce(lambda x, axes, keep: np.sqrt((x**2).sum(axis=axes, keepdims=keep))),
    "ArgMax": _argument(np.argmax), "ArgMin": _argument(np.argmin),
    "Softmax": _softmax, "LogSoftmax": _log_softmax, "CumSum": _cumulate,
    "LayerNormalization": _normalize, "RMSNormalization": _normalize_rms,
}  # fmt: skip
