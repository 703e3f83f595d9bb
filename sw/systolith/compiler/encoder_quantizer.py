"""From the floats of an encoder to the integers of :mod:`systolith_sim.transformer.encoder`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.config import SCALE_BITS, Config
from systolith_hw.tables import CENTRED_FRACTION, FRACTION
from systolith_sim.transformer.encoder import EncoderLayer, Linear, Norm
from systolith_sim.transformer.reference import FloatLayer, FloatLinear, FloatNorm, mix
from systolith_sim.vector.row import Factor

from .quantize import (
    WEIGHT_LIMIT,
    ActivationFormat,
    Scales,
    quantize_weights,
    scale_entries,
)
from .rounding import DAMPING, round_weights

__all__ = [
    "Grams",
    "factor",
    "gamma_entries",
    "measure_grams",
    "quantize_layer",
    "quantize_norm",
    "score_shift",
    "word_base",
]

LARGEST = 2.0**10
"""Activations up to this magnitude fit a word, where the config's window does not reach further."""

EXACT = 1e-3
"""Of a step: weights that are so close to integers have been rounded before."""

HIDDEN_DAMPING = 1.0
"""Few hidden values are large, and not the same for all texts: silence of others proves little."""


@dataclass
class Grams:
    """``x.T @ x`` of the inputs of a layer's matrices, added up over sentences.

    Parameters
    ----------
    attention, output, up, down : (K, K) floats
        Of query, key and value; of the other three.
    """

    attention: NDArray[np.float64]
    output: NDArray[np.float64]
    up: NDArray[np.float64]
    down: NDArray[np.float64]


def word_base(config: Config) -> int:
    """Return the fixed-point bits below block exponent 0 with which :data:`LARGEST` fits a word."""
    array = config.array
    largest = FRACTION + int(math.log2(LARGEST))
    return max(0, largest - array.window - (array.mantissa_bits - 1))


def score_shift(base: int) -> int:
    """Return the shift of scores for words whose mantissas have LSB 2**(base - 16)."""
    return SCALE_BITS - 1 + FRACTION - 2 * base


def factor(value: float) -> Factor:
    """Return a positive number as ``scale * 2**-shift``."""
    significand, exponent = math.frexp(value)
    scale = round(significand * (1 << SCALE_BITS))
    shift = SCALE_BITS - exponent
    return Factor(scale >> 1, shift - 1) if scale >> SCALE_BITS else Factor(scale, shift)


def measure_grams(
    layers: Sequence[FloatLayer], sentences: Sequence[NDArray[np.floating]]
) -> Iterator[Grams]:
    """Yield each layer's :class:`Grams` over ``sentences``, inputs of layer 0, (S, N) each."""
    ends = np.cumsum([len(sentence) for sentence in sentences])
    x = np.concatenate(list(sentences))
    for layer in layers:
        inputs = layer.attention_norm(x) if layer.norm_first else x
        # Only attention knows where sentences end.
        context = np.concatenate([mix(layer, part) for part in np.split(inputs, ends[:-1])])
        residual = x + layer.output(context)
        middle = (layer.output_norm if layer.norm_first else layer.attention_norm)(residual)
        hidden = layer.expand(middle)
        yield Grams(*(_gram(each) for each in (inputs, context, middle, hidden)))
        x = (residual if layer.norm_first else middle) + layer.down(hidden)
        x = x if layer.norm_first else layer.output_norm(x)


def _gram(inputs: NDArray[np.floating]) -> NDArray[np.float64]:
    values = inputs.astype(np.float64)
    return values.T @ values


def gamma_entries(gamma: NDArray[np.floating], beta: ArrayLike = 0.0) -> Scales:
    """Return scale entries of the magnitudes of gammas, and betas."""
    return scale_entries(np.abs(gamma), ActivationFormat(CENTRED_FRACTION, 0), FRACTION, beta)


def quantize_norm(norm: FloatNorm) -> Norm:
    """Return a norm's gamma and beta as scale entries."""
    gamma = np.asarray(norm.gamma, np.float64)
    scales = gamma_entries(gamma, norm.beta)
    return Norm(
        scales.scale, gamma < 0, scales.shift, scales.bias, factor(1 / len(gamma)),
        epsilon=max(1, round(math.ldexp(norm.epsilon, 2 * FRACTION))),
    )  # fmt: skip


def quantize_linear(
    linear: FloatLinear, gram: ArrayLike, base: int, damping: float = DAMPING
) -> Linear:
    """Return a matrix for words of that base, and fixed-point results."""
    nearest, step = quantize_weights(linear.weights)
    weights = nearest.astype(np.int64)
    if np.abs(weights * step - linear.weights).max() > EXACT * step.max():  # else they are rounded
        weights = round_weights(linear.weights, step, gram, limit=WEIGHT_LIMIT, damping=damping)
    scales = scale_entries(step, ActivationFormat(FRACTION, base), FRACTION, linear.bias)
    return Linear(weights.astype(np.int8), scales.scale, scales.shift, scales.bias)


def quantize_layer(
    config: Config,
    layer: FloatLayer,
    grams: Grams,
    *,
    output_chunk: int | None = None,
    down_chunk: int | None = None,
) -> EncoderLayer:
    """Return a layer in integers, whose chunks are by default all inputs."""
    base = word_base(config)
    features = layer.query.weights.shape[1] // layer.heads
    # Scores in powers of two.
    sharpness = math.log2(math.e) / math.sqrt(features)
    query = FloatLinear(layer.query.weights * sharpness, layer.query.bias * sharpness)
    inputs = {
        "key": grams.attention, "value": grams.attention, "output": grams.output, "up": grams.up,
    }  # fmt: skip
    return EncoderLayer(
        heads=layer.heads,
        query=quantize_linear(query, grams.attention, base),
        **{name: quantize_linear(getattr(layer, name), gram, base)
           for name, gram in inputs.items()},
        down=quantize_linear(layer.down, grams.down, base, HIDDEN_DAMPING),
        attention_norm=quantize_norm(layer.attention_norm),
        output_norm=quantize_norm(layer.output_norm),
        score_shift=score_shift(base),
        base=base,
        output_chunk=output_chunk or len(layer.output.weights),
        down_chunk=down_chunk or len(layer.down.weights),
        activation=layer.activation,
    )  # fmt: skip
