"""Products of matrices."""

import numpy as np

__all__ = ["MATRICES"]


def _linear(attributes, x, weights, bias=None):
    y = x @ weights
    return y if bias is None else y + bias


def _gemm(attributes, a, b, c=None):
    a = a.T if attributes.get("transA", 0) else a
    b = b.T if attributes.get("transB", 0) else b
    y = np.asarray(attributes.get("alpha", 1.0), a.dtype) * (a @ b)
    return y if c is None else y + np.asarray(attributes.get("beta", 1.0), a.dtype) * c


def _dequantize(attributes, x, scale, zero=None):
    axis, shape = attributes.get("axis", 1), [1] * x.ndim
    if scale.ndim and scale.size > 1:
        shape[axis] = scale.size
        scale = scale.reshape(shape)
        zero = None if zero is None else zero.reshape(shape)
    values = x.astype(scale.dtype)
    return (values if zero is None else values - zero.astype(scale.dtype)) * scale


def _convolve(attributes, x, weights, bias=None):
    """Windows that do not overlap, which are what cuts pictures in patches."""
    kernel = weights.shape[2:]
    strides = tuple(attributes.get("strides", [1] * len(kernel)))
    if attributes.get("group", 1) != 1 or any(attributes.get("pads", [0])) or strides != kernel:
        raise ValueError("only windows side by side are convolved: strides equal to the kernel, "
                         "no pads, one group")  # fmt: skip
    count = [size // step for size, step in zip(x.shape[2:], strides, strict=True)]
    x = x[(..., *(slice(0, n * step) for n, step in zip(count, strides, strict=True)))]
    split = [part for n, step in zip(count, strides, strict=True) for part in (n, step)]
    x = x.reshape(*x.shape[:2], *split)
    rank = len(kernel)
    places, within = range(2, 2 + 2 * rank, 2), range(3, 3 + 2 * rank, 2)
    x = x.transpose(0, *places, 1, *within).reshape(len(x), *count, -1)
    y = x @ weights.reshape(len(weights), -1).T
    return np.moveaxis(y if bias is None else y + bias, -1, 1)


MATRICES = {
    "MatMul": lambda attributes, a, b: a @ b, "Gemm": _gemm, "Linear": _linear,
    "Einsum": lambda attributes, *arrays: np.einsum(attributes["equation"], *arrays),
    "DequantizeLinear": _dequantize, "Conv": _convolve,
}  # fmt: skip
