"""What the inputs of a language model's matrices look like on a little text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_reference import FloatDecoder, KeyValueCache, hidden

from .encoder_quantizer import Grams

__all__ = ["Measurement", "measure"]


@dataclass(frozen=True)
class Measurement:
    """What :func:`measure` found.

    Parameters
    ----------
    layers : list of Grams
        Of each layer; ``up`` is that of the gate's inputs, too.
    head : (N, N) floats
        ``x.T @ x`` of the head's inputs.
    largest : float
        Largest magnitude in the residual.
    """

    layers: list[Grams]
    head: NDArray[np.float64]
    largest: float


def measure(model: FloatDecoder, documents: Iterable[Sequence[int]]) -> Measurement:
    """Return the inputs of all matrices on ``documents``, token numbers from position 0."""
    width = model.embedding.shape[1]
    grams = [
        Grams(np.zeros((width, width)), _zeros(layer.output), _zeros(layer.up), _zeros(layer.down))
        for layer in model.layers
    ]
    head = np.zeros((width, width))
    largest = 0.0
    for tokens in documents:
        cache = KeyValueCache(len(model.layers))
        x = model.embedding[list(tokens)]
        if model.positions is not None:
            x = x + model.positions[: len(tokens)]
        for number, (layer, gram) in enumerate(zip(model.layers, grams, strict=True)):
            normal = model.normalize(x, layer.attention_norm)
            gram.attention += _gram(normal)
            context = model.attend(layer, normal, cache, number)
            gram.output += _gram(context)
            x = x + context @ layer.output
            largest = max(largest, float(np.abs(x).max()))
            normal = model.normalize(x, layer.hidden_norm)
            gram.up += _gram(normal)
            inner = hidden(layer, normal)
            gram.down += _gram(inner)
            x = x + inner @ layer.down
            largest = max(largest, float(np.abs(x).max()))
        head += _gram(model.normalize(x, model.norm))
    return Measurement(grams, head, largest)


def _zeros(matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.zeros((len(matrix), len(matrix)))


def _gram(inputs: NDArray[np.floating]) -> NDArray[np.float64]:
    return (inputs.T @ inputs).astype(np.float64)
