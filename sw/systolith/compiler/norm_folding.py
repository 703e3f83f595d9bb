"""Put the gammas of RMSNorms into the matrices behind them, or features into another order."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_reference import FloatDecoder, FloatDecoderLayer

__all__ = ["fold_norms", "layer_alone", "order_features"]

Order = NDArray[np.intp]


def fold_norms(model: FloatDecoder, order: Order) -> FloatDecoder:
    """Return a model that computes the same, all of whose gammas are one.

    Features of the residual are put in an ``order`` (:mod:`.feature_order`).
    """
    return order_features(dataclasses.replace(
        model, layers=[_fold(layer) for layer in model.layers],
        norm=np.ones_like(model.norm), head=model.head * model.norm,
    ), order)  # fmt: skip


def order_features(model: FloatDecoder, order: Order) -> FloatDecoder:
    """Return a model that computes the same with the features of its residual in an ``order``."""
    layers = [_reorder(layer, order) for layer in model.layers]
    if np.array_equal(order, np.arange(len(order))):  # large tables stay where they are
        return dataclasses.replace(model, layers=layers)
    return dataclasses.replace(
        model, layers=layers, norm=model.norm[order],
        head=model.head[:, order], embedding=model.embedding[:, order],
        positions=None if model.positions is None else model.positions[:, order],
    )  # fmt: skip


def layer_alone(model: FloatDecoder, number: int) -> FloatDecoder:
    """Return a model of one layer and no tokens, to be folded or ordered without all others."""
    return dataclasses.replace(
        model, layers=[model.layers[number]], head=model.head[:0], embedding=model.embedding[:0],
        positions=None,
    )  # fmt: skip


def _fold(layer: FloatDecoderLayer) -> FloatDecoderLayer:
    attention, hidden = layer.attention_norm[:, None], layer.hidden_norm[:, None]
    return dataclasses.replace(
        layer, attention_norm=np.ones_like(layer.attention_norm),
        hidden_norm=np.ones_like(layer.hidden_norm), query=layer.query * attention,
        key=layer.key * attention, value=layer.value * attention, up=layer.up * hidden,
        gate=None if layer.gate is None else layer.gate * hidden,
    )  # fmt: skip


def _reorder(layer: FloatDecoderLayer, order: Order) -> FloatDecoderLayer:
    return dataclasses.replace(
        layer, attention_norm=layer.attention_norm[order], hidden_norm=layer.hidden_norm[order],
        query=layer.query[order], key=layer.key[order], value=layer.value[order],
        output=layer.output[:, order], up=layer.up[order],
        gate=None if layer.gate is None else layer.gate[order], down=layer.down[:, order],
    )  # fmt: skip
