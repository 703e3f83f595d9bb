"""Operators of language models, which rewrites put in the place of many.

``CausalAttention`` takes queries (batch, tokens, heads * D), keys and values (batch, tokens,
key_heads * D), D features of each head one after the other. Rotary positions of ``rotary_base``
turn features 2i and 2i + 1 of queries and keys together; heads / key_heads heads of queries share
one of keys; scores are multiplied by ``scale``; each token sees itself and those before it.

``DecoderLayer`` is a layer of Llama's family: its input, then the parameters of
:class:`~systolith_sim.transformer.decoder_reference.FloatDecoderLayer`, in that order.
"""

import numpy as np

from systolith_sim.transformer.decoder_reference import rotary_rows, rotate

from .elementwise import ELEMENTWISE
from .reductions import REDUCTIONS

__all__ = ["DECODER", "DECODER_PARAMETERS"]

DECODER_PARAMETERS = (
    "attention_norm", "query", "key", "value", "output", "hidden_norm", "gate", "up", "down",
)  # fmt: skip
"""What DecoderLayer takes behind its input, in this order."""


def _attend(attributes, query, key, value):
    batch, tokens, width = query.shape
    heads, groups = attributes["heads"], attributes["key_heads"]
    features = width // heads
    turns = rotary_rows(np.arange(tokens), features, attributes["rotary_base"])
    query = rotate(query.reshape(batch, tokens, heads, features), *turns)
    key = rotate(key.reshape(batch, tokens, groups, features), *turns)
    value = value.reshape(batch, tokens, groups, features)
    query = query.reshape(batch, tokens, groups, heads // groups, features)
    scores = np.einsum("bsgrd,btgd->bgrst", query, key) * np.float32(attributes["scale"])
    scores = np.where(np.tri(tokens, dtype=np.bool), scores, np.float32(-np.inf))
    weights = REDUCTIONS["Softmax"]({}, scores)
    return np.einsum("bgrst,btgd->bsgrd", weights, value).reshape(batch, tokens, width)


def _decode(attributes, x, *parameters):
    values = dict(zip(DECODER_PARAMETERS, parameters, strict=True))

    def norm(name, inputs):
        return REDUCTIONS["RMSNormalization"](attributes, inputs, values[name])

    inputs = norm("attention_norm", x)
    parts = (inputs @ values[name] for name in ("query", "key", "value"))
    x = x + _attend(attributes, *parts) @ values["output"]
    inputs = norm("hidden_norm", x)
    gate = ELEMENTWISE["Silu"]({}, inputs @ values["gate"])
    return x + (gate * (inputs @ values["up"])) @ values["down"]


DECODER = {"CausalAttention": _attend, "DecoderLayer": _decode}
