"""Operators on each element."""

import functools

import numpy as np

from systolith_sim.transformer.reference import erf, gelu

__all__ = ["ELEMENTWISE"]


def _divide(attributes, a, b):
    if np.issubdtype(a.dtype, np.integer):
        return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)
    return a / b


def _power(attributes, a, b):
    return np.power(a, b).astype(a.dtype)


def _modulo(attributes, a, b):
    return np.fmod(a, b) if attributes.get("fmod", 0) else np.mod(a, b)


def _sigmoid(x):
    return (1 / (1 + np.exp(-x))).astype(x.dtype)


def _gelu(attributes, x):
    if attributes.get("approximate", "none") == "tanh":
        bent = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
        return (0.5 * x * (1 + bent)).astype(x.dtype)
    return gelu(x)


def _clip(attributes, x, low=None, high=None):
    low = attributes.get("min", low)
    high = attributes.get("max", high)
    if low is not None:
        x = np.maximum(x, low)
    return (x if high is None else np.minimum(x, high)).astype(x.dtype)


def _cast(attributes, x):
    return x.astype(attributes["to"])


def _dropout(attributes, x, *_):
    return x, np.ones(x.shape, np.bool)


def _elu(attributes, x):
    alpha = attributes.get("alpha", 1.0)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))).astype(x.dtype)


def _leaky(attributes, x):
    return np.where(x > 0, x, attributes.get("alpha", 0.01) * x).astype(x.dtype)


def _one(function):
    """Return the operator of a function of one array, which keeps its type."""
    return lambda attributes, x: function(x).astype(x.dtype)


def _plain(function):
    """Return the operator of a function that needs no attributes."""
    return lambda attributes, *values: function(*values)


def _many(function):
    """Return the operator of a function of two arrays for any number of them."""
    return lambda attributes, *values: functools.reduce(function, values)


ELEMENTWISE = {
    "Add": _plain(np.add), "Sub": _plain(np.subtract), "Mul": _plain(np.multiply),
    "Div": _divide, "Pow": _power, "Mod": _modulo,
    "Neg": _one(np.negative), "Abs": _one(np.abs), "Sign": _one(np.sign),
    "Sqrt": _one(np.sqrt), "Reciprocal": _one(np.reciprocal),
    "Exp": _one(np.exp), "Log": _one(np.log), "Erf": _one(erf),
    "Sin": _one(np.sin), "Cos": _one(np.cos), "Tanh": _one(np.tanh),
    "Floor": _one(np.floor), "Ceil": _one(np.ceil), "Round": _one(np.rint),
    "Sigmoid": _plain(_sigmoid), "Silu": _plain(lambda x: x * _sigmoid(x)),
    "Softplus": _one(lambda x: np.logaddexp(x, 0)),
    "Relu": _plain(lambda x: np.maximum(x, np.zeros((), x.dtype))),
    "Gelu": _gelu, "Elu": _elu, "LeakyRelu": _leaky, "Clip": _clip,
    "Equal": _plain(np.equal), "Greater": _plain(np.greater), "Less": _plain(np.less),
    "GreaterOrEqual": _plain(np.greater_equal), "LessOrEqual": _plain(np.less_equal),
    "And": _plain(np.logical_and), "Or": _plain(np.logical_or), "Xor": _plain(np.logical_xor),
    "Not": _plain(np.logical_not), "IsNaN": _plain(np.isnan), "IsInf": _plain(np.isinf),
    "Where": _plain(np.where), "Max": _many(np.maximum), "Min": _many(np.minimum),
    "Sum": _many(np.add), "Cast": _cast, "Identity": _plain(lambda x: x), "Dropout": _dropout,
}  # fmt: skip
