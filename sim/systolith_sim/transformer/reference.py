"""One encoder layer in floating point, from the equations."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FloatLayer", "FloatLinear", "FloatNorm", "encode", "erf", "gelu", "mix"]

Floats = NDArray[np.floating]

STEP = 2.0**-7
LARGEST = 6.0
_KNOTS = np.arange(0.0, LARGEST + 2 * STEP, STEP)
_VALUES = np.array([math.erf(knot) for knot in _KNOTS])
_SLOPES = 2 / math.sqrt(math.pi) * np.exp(-(_KNOTS**2)) * STEP


BLOCK = 1 << 14
"""Elements that are computed at once, so that what lies between stays small and near."""


def erf(x: Floats) -> Floats:
    """Return the error function, to 1e-10, by cubic interpolation of value and slope."""
    return _in_blocks(_erf, x, np.dtype(np.result_type(x, np.float64)))


def _erf(x: Floats) -> Floats:
    place = np.minimum(np.abs(x), LARGEST) / STEP
    left = place.astype(np.int64)
    t = place - left
    low, high = _VALUES[left], _VALUES[left + 1]
    bend = (1 - t) * (_SLOPES[left] - (high - low)) - t * (_SLOPES[left + 1] - (high - low))
    return np.sign(x) * (low + t * (high - low) + t * (1 - t) * bend)


def _in_blocks(function: Callable[[Floats], Floats], x: Floats, dtype: np.dtype) -> Floats:
    """Return a function of each element."""
    flat = np.ascontiguousarray(x).reshape(-1)
    made = np.empty(flat.shape, dtype)
    for first in range(0, len(flat), BLOCK):
        made[first : first + BLOCK] = function(flat[first : first + BLOCK])
    return made.reshape(np.shape(x))


@dataclass(frozen=True)
class FloatLinear:
    """``x @ weights + bias``.

    Parameters
    ----------
    weights : (K, N) floats
    bias : (N,) floats
    """

    weights: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        """Return (S, N) from (S, K)."""
        return x @ self.weights + self.bias


@dataclass(frozen=True)
class FloatNorm:
    """LayerNorm over the last axis.

    Parameters
    ----------
    gamma, beta : (N,) floats
    epsilon : float
    """

    gamma: Floats
    beta: Floats
    epsilon: float

    def __call__(self, x: Floats) -> Floats:
        """Return (S, N) from (S, N)."""
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + self.epsilon)
        return centred / deviation * self.gamma + self.beta


@dataclass(frozen=True)
class FloatLayer:
    """The parameters of one layer.

    Parameters
    ----------
    heads : int
        H; each has N / H features.
    query, key, value, output, up, down : FloatLinear
    attention_norm, output_norm : FloatNorm
        Of attention and of feed-forward: behind their residual sums, as in BERT, or before them.
    norm_first : bool
    activation : str
        "gelu", "silu" or "relu".
    """

    heads: int
    query: FloatLinear
    key: FloatLinear
    value: FloatLinear
    output: FloatLinear
    up: FloatLinear
    down: FloatLinear
    attention_norm: FloatNorm
    output_norm: FloatNorm
    norm_first: bool = False
    activation: str = "gelu"

    def expand(self, x: Floats) -> Floats:
        """Return hidden values (S, F) of what the up matrix takes."""
        hidden = self.up(x)
        if self.activation == "relu":
            return np.maximum(hidden, 0)
        return gelu(hidden) if self.activation == "gelu" else hidden / (1 + np.exp(-hidden))


def mix(layer: FloatLayer, x: Floats) -> Floats:
    """Return the context of all heads (S, N) of one sentence (S, N)."""
    split = (len(x), layer.heads, -1)
    query = layer.query(x).reshape(split)  # (S, H, D)
    key = layer.key(x).reshape(split)
    value = layer.value(x).reshape(split)

    scores = np.einsum("qhd,khd->hqk", query, key) / math.sqrt(query.shape[-1])
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    weights = powers / powers.sum(-1, keepdims=True)  # (H, S, S)
    return np.einsum("hqk,khd->qhd", weights, value).reshape(x.shape)


def gelu(x: Floats) -> Floats:
    """Return ``x`` times the normal distribution's cumulative probability."""
    return _in_blocks(lambda part: part * (1 + _erf(part / math.sqrt(2))) / 2, x, x.dtype)


def encode(layer: FloatLayer, x: Floats) -> Floats:
    """Return one sentence (S, N) after ``layer``."""
    if layer.norm_first:
        x = x + layer.output(mix(layer, layer.attention_norm(x)))
        return x + layer.down(layer.expand(layer.output_norm(x)))
    x = layer.attention_norm(x + layer.output(mix(layer, x)))
    return layer.output_norm(x + layer.down(layer.expand(x)))
