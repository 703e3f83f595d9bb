"""Put the gammas of RMSNorms into the matrices behind them."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_reference import FloatDecoder, FloatDecoderLayer

__all__ = ["fold_norms"]


def fold_norms(model: FloatDecoder) -> FloatDecoder:
    """Return a model that computes the same, all of whose gammas are one.

    Features of the residual are put in the order of their gammas, all norms taken together: weights
    of 32 inputs share a step, and those of a large gamma would make it too coarse for the others.
    """
    order = np.argsort(_sizes(model), kind="stable")
    return dataclasses.replace(
        model, layers=[_fold(layer, order) for layer in model.layers],
        norm=np.ones_like(model.norm), head=(model.head * model.norm)[:, order],
        embedding=model.embedding[:, order],
        positions=None if model.positions is None else model.positions[:, order],
    )  # fmt: skip


def _sizes(model: FloatDecoder) -> NDArray[np.floating]:
    """Return the mean square of each feature's gammas, in units of those of their norm."""
    norms = [norm for layer in model.layers for norm in (layer.attention_norm, layer.hidden_norm)]
    squares = np.square(np.array([*norms, model.norm], np.float64))
    return (squares / squares.mean(axis=1, keepdims=True)).mean(axis=0)


def _fold(layer: FloatDecoderLayer, order: NDArray[np.intp]) -> FloatDecoderLayer:
    attention, hidden = layer.attention_norm[:, None], layer.hidden_norm[:, None]
    return dataclasses.replace(
        layer, attention_norm=np.ones_like(layer.attention_norm),
        hidden_norm=np.ones_like(layer.hidden_norm), query=(layer.query * attention)[order],
        key=(layer.key * attention)[order], value=(layer.value * attention)[order],
        output=layer.output[:, order], up=(layer.up * hidden)[order],
        gate=None if layer.gate is None else (layer.gate * hidden)[order],
        down=layer.down[:, order],
    )  # fmt: skip
