"""Choose the codes of a small language model again, by what they do to its predictions.

Rounding matrix by matrix leaves a model of a hundred thousand weights too far from what it was.
Here all weights move together, against the gradient of the divergence from the exact model on text,
and are rounded in each step before they are used (the straight-through estimator of Bengio et al.,
"Estimating or Propagating Gradients Through Stochastic Neurons", 2013; steps are Adam's). What
the groups' parameters are stays as it was found.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from systolith_sim.dma.codec import GROUP
from systolith_sim.transformer.decoder_reference import FloatDecoder

from .decoder_gradient import divergence_gradient
from .decoder_rounding import Rounded
from .group_rounding import CodedWeights
from .weight_codecs import Codec

__all__ = ["tune_codes"]

STEPS = 300
DOCUMENTS = 8
"""Documents of each step."""

RATE = 0.2

DECAYS = (0.9, 0.99)


class _Matrix:
    """A matrix whose weights move."""

    def __init__(self, coded: CodedWeights, codec: Codec) -> None:
        self.coded = coded
        self.codec = codec
        self.wide = tuple(np.repeat(part, GROUP, axis=0)[: len(coded.integers)]
                          for part in coded.parameters)  # fmt: skip
        self.weights = coded.integers.astype(np.float64)
        self.low, self.high = (
            codec.expand(np.full(self.weights.shape, code), self.wide) for code in codec.extremes
        )
        self.mean = np.zeros_like(self.weights)
        self.square = np.zeros_like(self.weights)

    def rounded(self) -> CodedWeights:
        codes = self.codec.nearest(self.weights, self.wide)
        integers = self.codec.expand(codes, self.wide)
        fill = len(self.coded.codes) - len(codes)
        codes = np.concatenate([codes, self.coded.codes[len(codes) :]]) if fill else codes
        return CodedWeights.compact(codes, self.coded.parameters, self.coded.step, integers)

    def move(self, gradient: NDArray[np.floating], number: int, rate: float) -> None:
        """Go a step of Adam, ``number`` from 1 on; who is at an end of its codes stays there."""
        gradient = gradient * self.coded.step
        beyond = (self.weights < self.low) | (self.weights > self.high)
        gradient = np.where(beyond, 0, gradient)
        first, second = DECAYS
        self.mean += (1 - first) * (gradient - self.mean)
        self.square += (1 - second) * (gradient**2 - self.square)
        mean, square = self.mean / (1 - first**number), self.square / (1 - second**number)
        self.weights -= rate * mean / (np.sqrt(square) + 1e-12)


def tune_codes(
    model: FloatDecoder, documents: Sequence[Sequence[int]], rounded: Rounded, codec: Codec,
    head_codec: Codec, *, steps: int = STEPS, rate: float = RATE, seed: int = 0,
    progress: Callable[[int, int], None] = lambda step, steps: None,
) -> Rounded:  # fmt: skip
    """Return better codes for what :func:`systolith.compiler.decoder_rounding.round_decoder` found.

    Parameters
    ----------
    model : FloatDecoder
        As it should be.
    documents : sequence of token numbers
        The more the better: a few hundred.
    rounded : Rounded
    codec, head_codec : Codec
        Those of ``rounded``.
    steps : int
    rate : float
        How far a weight goes in a step, at most and about, in units of int8.
    seed : int
        Of the order of the documents.
    progress : function of the step and the number of steps
    """
    model = rounded.prepare(model)
    layers = [{name: _Matrix(coded, codec) for name, coded in found.items()}
              for found in rounded.layers]  # fmt: skip
    head = _Matrix(rounded.head, head_codec)
    order = _shuffled(len(documents), seed)
    for step in range(steps):
        progress(step, steps)
        now = _result(rounded, layers, head)
        current = dataclasses.replace(
            model, head=now.head.values().T,
            layers=[now.layer(layer, place) for place, layer in enumerate(model.layers)],
        )  # fmt: skip
        pace = rate * _pace(step, steps)
        total: dict[tuple[int, str], NDArray[np.floating]] = {}
        for _ in range(DOCUMENTS):
            tokens = list(documents[next(order)])
            _, by_layer, by_head = divergence_gradient(current, tokens, model.logits(tokens))
            for place, gradients in enumerate([*by_layer, {"head": by_head.T}]):
                for name, gradient in gradients.items():
                    total[place, name] = total.get((place, name), 0) + gradient
        for (place, name), gradient in total.items():
            matrix = layers[place][name] if place < len(layers) else head
            matrix.move(gradient, step + 1, pace)
    return _result(rounded, layers, head)


def _result(rounded: Rounded, layers: list[dict[str, _Matrix]], head: _Matrix) -> Rounded:
    found = [{name: matrix.rounded() for name, matrix in layer.items()} for layer in layers]
    return dataclasses.replace(rounded, layers=found, head=head.rounded())


def _pace(step: int, steps: int) -> float:
    """Return 1 or less: steps grow at the beginning, and shrink towards the end."""
    return min(1, (step + 1) / 20) * max(0.02, (1 + math.cos(math.pi * step / steps)) / 2)


def _shuffled(count: int, seed: int) -> Iterator[int]:
    """Return numbers below ``count``, all before any comes again."""
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.permutation(count).tolist()
