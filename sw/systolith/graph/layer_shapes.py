"""Whether a node that says it is a layer is one: its inputs, their sizes, and its attributes."""

import math
from typing import Any

import numpy as np

from .graph import Graph, GraphError, Node
from .operators.decoder import DECODER_PARAMETERS
from .operators.fused import LAYER_PARAMETERS

__all__ = ["require_layer"]

FEATURES, HEADS, KEYS, HIDDEN = "features", "features of heads", "features of keys", "hidden values"

ENCODER = {
    **{f"{name}.weights": (FEATURES, HEADS) for name in ("query", "key", "value")},
    **{f"{name}.bias": (HEADS,) for name in ("query", "key", "value")},
    "output.weights": (HEADS, FEATURES), "output.bias": (FEATURES,),
    "up.weights": (FEATURES, HIDDEN), "up.bias": (HIDDEN,),
    "down.weights": (HIDDEN, FEATURES), "down.bias": (FEATURES,),
    **{f"{name}.{part}": (FEATURES,) for name in ("attention_norm", "output_norm")
       for part in ("gamma", "beta")},
}  # fmt: skip
"""The sizes of an EncoderLayer's parameters."""

DECODER = {
    "attention_norm": (FEATURES,), "query": (FEATURES, HEADS), "key": (FEATURES, KEYS),
    "value": (FEATURES, KEYS), "output": (HEADS, FEATURES), "hidden_norm": (FEATURES,),
    "gate": (FEATURES, HIDDEN), "up": (FEATURES, HIDDEN), "down": (HIDDEN, FEATURES),
}  # fmt: skip
"""The sizes of a DecoderLayer's."""

ACTIVATIONS = ("Gelu", "Silu", "Relu")


def require_layer(graph: Graph, node: Node, operator: str) -> dict[str, int]:
    """Return a layer's sizes, as shapes of models call them: features, heads, hidden.

    Parameters
    ----------
    operator : str
        What it must be, "EncoderLayer" or "DecoderLayer".

    Raises
    ------
    GraphError
        If it is another node, or has not the inputs and attributes of such a layer.
    """
    if node.operator != operator:
        raise GraphError(f"{node} is no {operator}")
    encoder = operator == "EncoderLayer"
    names, before = (LAYER_PARAMETERS, 2) if encoder else (DECODER_PARAMETERS, 1)
    if len(node.inputs) != before + len(names):
        raise GraphError(f"{node} has {len(node.inputs)} inputs, not {before + len(names)}")
    sizes: dict[str, int] = {}
    for name, tensor in zip(names, node.inputs[before:], strict=True):
        value, wanted = graph.constants.get(tensor), (ENCODER if encoder else DECODER)[name]
        if value is None or value.dtype.kind != "f" or value.ndim != len(wanted):
            raise GraphError(f"{node} has no {name} of floats ({', '.join(wanted)})")
        for what, size in zip(wanted, value.shape, strict=True):
            if sizes.setdefault(what, size) != size:
                raise GraphError(f"{node} has {size} {what} in {name}, but {sizes[what]} before")
    heads = _heads(node, "heads", sizes[HEADS])
    if encoder:
        _require(node, "norm_first", isinstance(node.attributes.get("norm_first"), bool))
        _require(node, "activation", node.attributes.get("activation") in ACTIVATIONS)
    else:
        key_heads = _heads(node, "key_heads", sizes[KEYS])
        same = sizes[HEADS] // heads == sizes[KEYS] // key_heads
        _require(node, "key_heads", same and heads % key_heads == 0)
    for name in ("scale", "epsilon") if encoder else ("scale", "epsilon", "rotary_base"):
        _require(node, name, _is_number(node.attributes.get(name)))
    return {"features": sizes[FEATURES], "heads": heads, "hidden": sizes[HIDDEN]}


def _heads(node: Node, name: str, features: int) -> int:
    value: Any = node.attributes.get(name)
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    _require(node, name, whole and value > 0 and features % value == 0)
    return int(value)


def _is_number(value: Any) -> bool:
    real = isinstance(value, int | float | np.integer | np.floating)
    return real and not isinstance(value, bool) and math.isfinite(value)


def _require(node: Node, name: str, good: bool) -> None:
    if not good:
        raise GraphError(f"{node} has an attribute {name} of {node.attributes.get(name)!r}")
