"""A language model of Llama's family in floating point, from the equations."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FloatDecoder",
    "FloatDecoderLayer",
    "KeyValueCache",
    "hidden",
    "rotary_rows",
    "rotate",
]

Floats = NDArray[np.floating]
Numbers = NDArray[Any]


@dataclass(frozen=True)
class FloatDecoderLayer:
    """The parameters of one layer; matrices are (inputs, outputs), without biases.

    Parameters
    ----------
    attention_norm, hidden_norm : (N,) floats
        Gammas of both RMSNorms.
    query : (N, H * D) floats
        H heads of D features. Rotary positions turn features 2i and 2i + 1 of a head together.
    key, value : (N, G * D) floats
        G heads, each of which H / G heads of queries share.
    output : (H * D, N) floats
    gate : (N, F) floats, or None
        Of SwiGLU; without it ``up`` goes through ReLU instead.
    up : (N, F) floats
    down : (F, N) floats
    """

    attention_norm: Floats
    query: Floats
    key: Floats
    value: Floats
    output: Floats
    hidden_norm: Floats
    gate: Floats | None
    up: Floats
    down: Floats


@dataclass(frozen=True)
class FloatDecoder:
    """A whole model.

    Parameters
    ----------
    heads, key_heads : int
        H and G.
    epsilon : float
        Of RMSNorm.
    rotary_base : float or None
        None: no rotary positions.
    context : int
        Most tokens that it was trained for.
    embedding : (V, N) floats
    positions : (context, N) floats, or None
        Learned positions, added to the embedding.
    layers : sequence of FloatDecoderLayer
    norm : (N,) floats
        Gamma of the last RMSNorm.
    head : (V, N) floats
        Often the embedding itself.
    """

    heads: int
    key_heads: int
    epsilon: float
    rotary_base: float | None
    context: int
    embedding: Floats
    positions: Floats | None
    layers: Sequence[FloatDecoderLayer]
    norm: Floats
    head: Floats

    def logits(self, tokens: Iterable[int], cache: "KeyValueCache | None" = None) -> Floats:
        """Return logits (S, V) behind each of S more tokens; ``cache`` has those before them."""
        cache = KeyValueCache(len(self.layers)) if cache is None else cache
        tokens = list(tokens)
        first = cache.length
        x = self.embedding[tokens]  # (S, N)
        if self.positions is not None:
            x = x + self.positions[first : first + len(tokens)]
        for number, layer in enumerate(self.layers):
            normal = self.normalize(x, layer.attention_norm)
            x = x + self.attend(layer, normal, cache, number) @ layer.output
            normal = self.normalize(x, layer.hidden_norm)
            x = x + hidden(layer, normal) @ layer.down
        return self.normalize(x, self.norm) @ self.head.T

    def normalize(self, x: Floats, gamma: Floats) -> Floats:
        """Return RMSNorm of (S, N)."""
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon) * gamma

    def attend(
        self, layer: FloatDecoderLayer, x: Floats, cache: "KeyValueCache", number: int
    ) -> Floats:
        """Return the context of all heads, (S, H * D)."""
        count, features = len(x), layer.query.shape[1] // self.heads
        query: Floats = (x @ layer.query).reshape(count, self.heads, features)
        key: Floats = (x @ layer.key).reshape(count, self.key_heads, features)
        value = (x @ layer.value).reshape(count, self.key_heads, features)
        first = cache.length
        if self.rotary_base is not None:
            rows = rotary_rows(first + np.arange(count), features, self.rotary_base)
            query, key = rotate(query, *rows), rotate(key, *rows)
        keys, values = cache.append(number, key, value)  # (T, G, D)

        query = query.reshape(count, self.key_heads, -1, features)  # (S, G, H / G, D)
        products = np.einsum("sghd,tgd->ghst", query, keys) / math.sqrt(features)
        seen = np.arange(len(keys)) <= first + np.arange(count)[:, None]
        scores = np.where(seen, products, -np.inf)
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        weights = powers / powers.sum(-1, keepdims=True)
        return np.einsum("ghst,tgd->sghd", weights, values).reshape(count, -1)


class KeyValueCache:
    """Keys and values of the tokens so far, for each layer, in floats or integers.

    Parameters
    ----------
    layers : int
    """

    def __init__(self, layers: int) -> None:
        self._layers: list[tuple[Numbers, Numbers] | None] = [None] * layers
        self.length = 0

    def append(self, number: int, key: Numbers, value: Numbers) -> tuple[Numbers, Numbers]:
        """Add more tokens' (S, G, D) to a layer; return all of the layer's (T, G, D)."""
        before = self._layers[number]
        if before is not None:
            key, value = np.concatenate([before[0], key]), np.concatenate([before[1], value])
        self._layers[number] = key, value
        if number == len(self._layers) - 1:
            self.length = len(key)
        return key, value


def rotary_rows(
    positions: NDArray[np.integer], features: int, base: float
) -> tuple[Floats, Floats]:
    """Return cosines and sines (S, features / 2) by which rotary positions turn each pair."""
    angles = positions[:, None] * base ** (-np.arange(0, features, 2) / features)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rotate(x: Floats, cosine: Floats, sine: Floats) -> Floats:
    """Return heads (S, heads, D) turned: features 2i and 2i + 1 by the angle of pair i."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cosine, sine = cosine[:, None], sine[:, None]
    turned = np.stack([even * cosine - odd * sine, odd * cosine + even * sine], axis=-1)
    return turned.reshape(x.shape)


def hidden(layer: FloatDecoderLayer, x: Floats) -> Floats:
    """Return the hidden values (S, F)."""
    up = x @ layer.up
    if layer.gate is None:
        return np.maximum(up, 0)
    gate: Floats = x @ layer.gate
    powers = np.exp(-gate)
    powers += 1
    gate /= powers  # in place: these are the largest arrays of a layer
    gate *= up
    return gate
