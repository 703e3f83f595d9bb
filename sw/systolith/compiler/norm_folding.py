"""Put the gammas of RMSNorms into the matrices behind them."""

import dataclasses

import numpy as np

from systolith_sim.transformer.decoder_reference import FloatDecoder, FloatDecoderLayer

__all__ = ["fold_norms"]


def fold_norms(model: FloatDecoder) -> FloatDecoder:
    """Return a model that computes the same, all of whose gammas are one."""
    return dataclasses.replace(
        model, layers=[_fold(layer) for layer in model.layers], norm=np.ones_like(model.norm),
        head=model.head * model.norm,
    )  # fmt: skip


def _fold(layer: FloatDecoderLayer) -> FloatDecoderLayer:
    attention, hidden = layer.attention_norm[:, None], layer.hidden_norm[:, None]
    return dataclasses.replace(
        layer, attention_norm=np.ones_like(layer.attention_norm),
        hidden_norm=np.ones_like(layer.hidden_norm), query=layer.query * attention,
        key=layer.key * attention, value=layer.value * attention, up=layer.up * hidden,
        gate=None if layer.gate is None else layer.gate * hidden,
    )  # fmt: skip
