"""A stack of encoder layers in integers, for states that the host brings."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError
from systolith_sim.transformer.encoder import EncoderLayer, Words
from systolith_sim.transformer.model import EncoderModel
from systolith_sim.transformer.reference import FloatLayer

from ..progress import Progress
from .encoder_quantizer import Grams, measure_grams, quantize_layer, quantize_norm, word_base

__all__ = ["check_layers", "quantize_stack"]

Floats = NDArray[np.floating]


def check_layers(layers: Sequence[FloatLayer]) -> None:
    """Refuse layers that one program cannot go through one after the other.

    Raises
    ------
    ConfigError
    """
    first = layers[0]
    for number, layer in enumerate(layers):
        for name, one, other in (
            ("heads", layer.heads, first.heads),
            ("features", len(layer.query.weights), len(first.query.weights)),
            ("hidden values", len(layer.down.weights), len(first.down.weights)),
            ("epsilon", layer.output_norm.epsilon, first.output_norm.epsilon),
            ("norm_first", layer.norm_first, first.norm_first),
            ("activation", layer.activation, first.activation),
        ):
            if one != other:
                raise ConfigError(
                    f"layer {number} has {name} {one}, and layer 0 {other}: the core takes layers "
                    "that are alike"
                )


def quantize_stack(
    config: Config, layers: Sequence[FloatLayer], states: Sequence[Floats], *, tokens: int,
    progress: Progress | None = None,
) -> EncoderModel:  # fmt: skip
    """Return layers in integers, rounded with the help of sentences (S, D) of states.

    The model's embeddings are empty: each run brings states of at most ``tokens``.

    Raises
    ------
    ConfigError
        If layers are not alike, or a number is too large for the core's.
    """
    check_layers(layers)
    progress = progress or Progress()
    grams = measure_grams(layers, states)
    integers = []
    for number, (layer, gram) in enumerate(zip(layers, grams, strict=True)):
        progress.reached(number, len(layers))
        integers.append(_quantize(config, layer, gram))
    norm, norm_first = None, layers[0].norm_first
    if norm_first:
        norm = quantize_norm(layers[0].attention_norm)
        integers = _shift_norms(integers)
    features = len(layers[0].query.weights)
    words = -(-features // config.array.rows)
    empty = Words(np.zeros((tokens, words, config.array.rows), np.int16),
                  np.zeros((tokens, words), np.int16))  # fmt: skip
    return EncoderModel(empty, empty, norm, word_base(config), integers, norm_first)


def _quantize(config: Config, layer: FloatLayer, gram: Grams) -> EncoderLayer:
    head = len(layer.query.bias) // layer.heads
    return quantize_layer(config, layer, gram, output_chunk=head, down_chunk=head)


def _shift_norms(layers: Sequence[EncoderLayer]) -> list[EncoderLayer]:
    """Return layers with the norm between both halves, and the next layer's first one."""
    following = [*layers[1:], layers[-1]]
    return [
        dataclasses.replace(layer, attention_norm=layer.output_norm,
                            output_norm=after.attention_norm)
        for layer, after in zip(layers, following, strict=True)
    ]  # fmt: skip
