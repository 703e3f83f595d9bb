"""Put the gammas of RMSNorms into the matrices behind them."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_reference import FloatDecoder, FloatDecoderLayer

__all__ = ["fold_norms"]

Order = NDArray[np.intp]


def fold_norms(model: FloatDecoder, order: Order) -> FloatDecoder:
    """Return a model that computes the same, all of whose gammas are one.

    Features of the residual are put in an ``order`` (:mod:`.feature_order`).
    """
    return dataclasses.replace(
        model, layers=[_fold(layer, order) for layer in model.layers],
        norm=np.ones_like(model.norm), head=(model.head * model.norm)[:, order],
        embedding=model.embedding[:, order],
        positions=None if model.positions is None else model.positions[:, order],
    )  # fmt: skip


def _fold(layer: FloatDecoderLayer, order: Order) -> FloatDecoderLayer:
    attention, hidden = layer.attention_norm[:, None], layer.hidden_norm[:, None]
    return dataclasses.replace(
        layer, attention_norm=np.ones_like(layer.attention_norm),
        hidden_norm=np.ones_like(layer.hidden_norm), query=(layer.query * attention)[order],
        key=(layer.key * attention)[order], value=(layer.value * attention)[order],
        output=layer.output[:, order], up=(layer.up * hidden)[order],
        gate=None if layer.gate is None else (layer.gate * hidden)[order],
        down=layer.down[:, order],
    )  # fmt: skip
