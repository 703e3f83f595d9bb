"""How the loss of a language model changes with each of its matrices, from the equations.

The loss is the divergence from another model's logits: :class:`FloatDecoder` forwards, with what
the way back needs, and backwards, one document at a time.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_reference import (
    FloatDecoder,
    FloatDecoderLayer,
    rotary_rows,
    rotate,
)

__all__ = ["MATRICES", "divergence_gradient"]

Floats = NDArray[np.floating]
Gradients = dict[str, Floats]

MATRICES = ("query", "key", "value", "output", "gate", "up", "down")
"""Of a layer, by their names in :class:`FloatDecoderLayer`."""


def divergence_gradient(
    model: FloatDecoder, tokens: list[int], wanted: Floats
) -> tuple[float, list[Gradients], Floats]:
    """Return the divergence of a document, and its gradients.

    Parameters
    ----------
    model : FloatDecoder
    tokens : list of int
        S of them.
    wanted : (S, V) floats
        The logits that are right.

    Returns
    -------
    divergence : float
        Kullback and Leibler's, in nats, summed over tokens.
    layers : list of dict
        A gradient for each matrix of each layer.
    head : (V, N) floats
    """
    x = model.embedding[tokens]
    if model.positions is not None:
        x = x + model.positions[: len(tokens)]
    steps = []
    for layer in model.layers:
        attention = _Attention(model, layer, x)
        x = x + attention.context @ layer.output
        hidden = _Hidden(model, layer, x)
        x = x + hidden.values @ layer.down
        steps.append((attention, hidden))
    last = _Norm(x, model.norm, model.epsilon)
    found = _logarithms(last.values @ model.head.T)
    right = _logarithms(wanted)
    likely = np.exp(right)

    back = np.exp(found) - likely  # by the logits
    head = back.T @ last.values
    gradient = last.back(back @ model.head)
    layers: list[Gradients] = []
    for attention, hidden in reversed(steps):
        gradient, by_hidden = hidden.back(gradient)
        gradient, by_attention = attention.back(gradient)
        layers.append(by_attention | by_hidden)
    return float((likely * (right - found)).sum()), layers[::-1], head


def _logarithms(logits: Floats) -> Floats:
    """Return the logarithms of softmax."""
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


class _Norm:
    """RMSNorm and its way back."""

    def __init__(self, x: Floats, gamma: Floats, epsilon: float) -> None:
        self.gamma = gamma
        self.factor = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon)
        self.normal = x * self.factor
        self.values = self.normal * gamma

    def back(self, gradient: Floats) -> Floats:
        by_normal = gradient * self.gamma
        common = (by_normal * self.normal).mean(-1, keepdims=True)
        return (by_normal - self.normal * common) * self.factor


@dataclass
class _Shape:
    """Sizes of a document's heads."""

    count: int
    heads: int
    key_heads: int
    features: int

    def shared(self, x: Floats) -> Floats:
        """Return queries, or contexts, by the heads that they share: (G, H / G, S, D)."""
        parts = self.count, self.key_heads, self.heads // self.key_heads, self.features
        return x.reshape(parts).transpose(1, 2, 0, 3)

    def joined(self, x: Floats) -> Floats:
        """Return what :meth:`shared` had, (S, H * D)."""
        return x.transpose(2, 0, 1, 3).reshape(self.count, -1)


class _Attention:
    """A layer's first half and its way back."""

    def __init__(self, model: FloatDecoder, layer: FloatDecoderLayer, x: Floats) -> None:
        self.layer = layer
        features = layer.query.shape[1] // model.heads
        self.shape = _Shape(len(x), model.heads, model.key_heads, features)
        self.norm = _Norm(x, layer.attention_norm, model.epsilon)
        self.rows = None if model.rotary_base is None else (
            rotary_rows(np.arange(len(x)), features, model.rotary_base))  # fmt: skip
        normal = self.norm.values
        self.query = self.shape.shared(self._turn(normal @ layer.query, model.heads))
        self.key = self._split(self._turn(normal @ layer.key, model.key_heads))
        self.value = self._split(normal @ layer.value)
        scores = self.query @ self.key.swapaxes(-1, -2) / math.sqrt(features)
        scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        self.weights = np.exp(_logarithms(scores))  # (G, H / G, S, S)
        self.context = self.shape.joined(self.weights @ self.value)

    def back(self, gradient: Floats) -> tuple[Floats, Gradients]:
        layer, shape, normal = self.layer, self.shape, self.norm.values
        by_context = shape.shared(gradient @ layer.output.T)
        by_weights = by_context @ self.value.swapaxes(-1, -2)
        by_value = (self.weights.swapaxes(-1, -2) @ by_context).sum(axis=1)
        mean = (by_weights * self.weights).sum(-1, keepdims=True)
        by_scores = self.weights * (by_weights - mean) / math.sqrt(shape.features)
        by_query = self._turn(shape.joined(by_scores @ self.key), shape.heads, back=True)
        by_key = self._turn(self._join((by_scores.swapaxes(-1, -2) @ self.query).sum(axis=1)),
                            shape.key_heads, back=True)  # fmt: skip
        parts = {"query": by_query, "key": by_key, "value": self._join(by_value)}
        by_normal = sum(part @ getattr(layer, name).T for name, part in parts.items())
        gradients = {name: normal.T @ part for name, part in parts.items()}
        gradients["output"] = self.context.T @ gradient
        return gradient + self.norm.back(by_normal), gradients

    def _turn(self, x: Floats, heads: int, *, back: bool = False) -> Floats:
        """Return rows (S, heads * D) at their positions, or back from them."""
        if self.rows is None:
            return x
        cosine, sine = self.rows
        turned = rotate(x.reshape(len(x), heads, -1), cosine, -sine if back else sine)
        return turned.reshape(x.shape)

    def _split(self, x: Floats) -> Floats:
        """Return keys or values by their heads, (G, 1, S, D)."""
        return x.reshape(len(x), self.shape.key_heads, -1).swapaxes(0, 1)[:, None]

    @staticmethod
    def _join(x: Floats) -> Floats:
        """Return (G, S, D) as (S, G * D)."""
        return x.swapaxes(0, 1).reshape(x.shape[1], -1)


class _Hidden:
    """A layer's second half and its way back."""

    def __init__(self, model: FloatDecoder, layer: FloatDecoderLayer, x: Floats) -> None:
        self.layer = layer
        self.norm = _Norm(x, layer.hidden_norm, model.epsilon)
        self.up = self.norm.values @ layer.up
        if layer.gate is None:
            self.values = np.maximum(self.up, 0)
            return
        self.gate = self.norm.values @ layer.gate
        self.sigmoid = 1 / (1 + np.exp(-self.gate))
        self.values = self.gate * self.sigmoid * self.up

    def back(self, gradient: Floats) -> tuple[Floats, Gradients]:
        layer, normal = self.layer, self.norm.values
        by_values = gradient @ layer.down.T
        if layer.gate is None:
            parts = {"up": by_values * (self.up > 0)}
        else:
            rise = self.sigmoid * (1 + self.gate * (1 - self.sigmoid))
            parts = {"gate": by_values * self.up * rise,
                     "up": by_values * self.gate * self.sigmoid}  # fmt: skip
        by_normal = sum(part @ getattr(layer, name).T for name, part in parts.items())
        gradients = {name: normal.T @ part for name, part in parts.items()}
        gradients["down"] = self.values.T @ gradient
        return gradient + self.norm.back(by_normal), gradients
