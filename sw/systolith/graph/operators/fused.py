"""Operators of our own, which rewrites put in the place of many.

``MultiHeadAttention`` takes queries, keys and values (batch, tokens, features), the features of
its ``heads`` one after the other, multiplies scores by ``scale``, and adds a mask if there is one,
which broadcasts to (batch, heads, tokens, tokens). Weights of queries that see nothing are no
numbers; with ``zeros`` they are zero: "hidden" makes such queries' so, "nan" whatever is no number.

``EncoderLayer`` is a Transformer encoder's layer: input and mask, then weights and bias of query,
key, value, output, up and down, then gamma and beta of attention's norm and of the other; with
``norm_first`` the norms stand before attention and feed-forward, otherwise behind the sums. Its
``activation`` is "Gelu", "Silu" or "Relu".
"""

import numpy as np

from .elementwise import ELEMENTWISE
from .reductions import REDUCTIONS

__all__ = ["FUSED", "LAYER_PARAMETERS"]

LAYER_PARAMETERS = (
    *(f"{name}.{part}" for name in ("query", "key", "value", "output", "up", "down")
      for part in ("weights", "bias")),
    *(f"{name}.{part}" for name in ("attention_norm", "output_norm")
      for part in ("gamma", "beta")),
)  # fmt: skip
"""What EncoderLayer takes behind input and mask, in this order."""


def _attend(attributes, query, key, value, mask=None):
    heads = attributes["heads"]

    def split(x):
        return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)

    query, key, value = split(query), split(key), split(value)
    scores = query @ key.swapaxes(2, 3) * np.asarray(attributes["scale"], query.dtype)
    if mask is not None:
        scores = scores + mask
    weights = REDUCTIONS["Softmax"]({}, scores)
    zeros = attributes.get("zeros", "")
    if zeros:
        most = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        empty = np.isnan(weights) if zeros == "nan" else most == -np.inf
        weights = np.where(empty, np.zeros((), weights.dtype), weights)
    context = (weights @ value).swapaxes(1, 2)
    return context.reshape(*context.shape[:2], -1)


def _encode(attributes, x, mask, *parameters):
    values = dict(zip(LAYER_PARAMETERS, parameters, strict=True))

    def linear(name, inputs):
        return inputs @ values[f"{name}.weights"] + values[f"{name}.bias"]

    def norm(name, inputs):
        gamma, beta = values[f"{name}.gamma"], values[f"{name}.beta"]
        return REDUCTIONS["LayerNormalization"](attributes, inputs, gamma, beta)

    def attention(inputs):
        query, key, value = (linear(name, inputs) for name in ("query", "key", "value"))
        return linear("output", _attend(attributes, query, key, value, mask))

    def feed_forward(inputs):
        hidden = ELEMENTWISE[attributes["activation"]]({}, linear("up", inputs))
        return linear("down", hidden)

    if attributes["norm_first"]:
        x = x + attention(norm("attention_norm", x))
        return x + feed_forward(norm("output_norm", x))
    x = norm("attention_norm", x + attention(x))
    return norm("output_norm", x + feed_forward(x))


FUSED = {"MultiHeadAttention": _attend, "EncoderLayer": _encode}
