"""Round all matrices of a language model, in order, with the help of a little text.

The text goes through the model twice: as it is, and as far as it is rounded already. A matrix is
to bring what has become of its inputs to the results that were right: besides its own rounding it
makes up for what came before, as far as its inputs tell. This is GPTQ (Frantar et al., 2022) with
another target than the weights themselves; those of matrices that add to the residual count
the residual's whole error, of each token in units of its size, which is what norms leave of it.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_reference import (
    FloatDecoder,
    FloatDecoderLayer,
    KeyValueCache,
    hidden,
)

from .feature_order import feature_order
from .group_rounding import CodedWeights, round_groups
from .norm_folding import fold_norms, order_features
from .rounding import DAMPING
from .weight_codecs import Codec

__all__ = ["Rounded", "round_decoder"]

Floats = NDArray[np.floating]

HIDDEN_DAMPING = 0.3
"""Few hidden values are large, and not the same for all texts: silence of others proves little."""

TRUST_DAMPING = 0.1
"""Of the mean square of an input: how little is believed of what others' errors tell."""


@dataclass(frozen=True)
class Rounded:
    """What :func:`round_decoder` found.

    Parameters
    ----------
    layers : list of dict
        Matrices of each layer by the names that :class:`FloatDecoderLayer` has for them.
    head : CodedWeights
    largest : float
        Largest magnitude in the residual.
    order : (N,) int
        In which the features of the residual are (:mod:`.feature_order`).
    folded : bool
        Gammas are in the matrices (:mod:`.norm_folding`), not left to the norms.
    """

    layers: list[dict[str, CodedWeights]]
    head: CodedWeights
    largest: float
    order: NDArray[np.intp]
    folded: bool = True

    def prepare(self, model: FloatDecoder) -> FloatDecoder:
        """Return the model as it is rounded: its features in order, gammas where they will be."""
        return (fold_norms if self.folded else order_features)(model, self.order)

    def layer(self, layer: FloatDecoderLayer, number: int) -> FloatDecoderLayer:
        """Return layer ``number`` with its rounded matrices."""
        return _replace(layer, self.layers[number])


@dataclass
class _Texts:
    """Values of all documents, as they are and as they are after rounding: each (S, K)."""

    exact: list[Floats]
    rounded: list[Floats]

    def both(self) -> tuple[Floats, Floats]:
        return (np.concatenate(self.exact).astype(np.float64),
                np.concatenate(self.rounded).astype(np.float64))  # fmt: skip


def round_decoder(
    model: FloatDecoder, documents: Sequence[Sequence[int]], codec: Codec, head_codec: Codec, *,
    folded: bool = True,
) -> Rounded:  # fmt: skip
    """Return all matrices of ``model`` in a codec, gammas ``folded`` into them or not;
    ``documents`` are token numbers."""
    order = feature_order(model, documents) if folded else np.arange(len(model.norm))
    model = (fold_norms if folded else order_features)(model, order)
    rounder = _Rounder(model, documents, codec)
    layers = [rounder.round_layer(layer, number) for number, layer in enumerate(model.layers)]
    head = rounder.round_matrix(model.head.T, rounder.normalize(model.norm), head_codec)
    return Rounded(layers, head, rounder.largest, order, folded)


class _Rounder:
    """Takes documents through a model, layer by layer."""

    def __init__(
        self, model: FloatDecoder, documents: Sequence[Sequence[int]], codec: Codec
    ) -> None:
        self.model = model
        self.codec = codec
        self.largest = 0.0
        start = [model.embedding[list(tokens)] for tokens in documents]
        if model.positions is not None:
            start = [x + model.positions[: len(x)] for x in start]
        self.residual = _Texts(start, list(start))

    def normalize(self, gamma: Floats) -> _Texts:
        return _Texts(
            [self.model.normalize(x, gamma) for x in self.residual.exact],
            [self.model.normalize(x, gamma) for x in self.residual.rounded],
        )

    def round_layer(self, layer: FloatDecoderLayer, number: int) -> dict[str, CodedWeights]:
        """Take the residual past a layer; return its matrices."""
        model = self.model
        normal = self.normalize(layer.attention_norm)
        coded = {name: self.round_matrix(getattr(layer, name), normal)
                 for name in ("query", "key", "value")}  # fmt: skip
        rounded = _replace(layer, coded)
        context = _Texts(*(
            [model.attend(one, x, KeyValueCache(len(model.layers)), number) for x in texts]
            for one, texts in ((layer, normal.exact), (rounded, normal.rounded))
        ))  # fmt: skip
        coded["output"] = self.add_matrix(layer.output, context)

        normal = self.normalize(layer.hidden_norm)
        names = ("up",) if layer.gate is None else ("gate", "up")
        coded |= {name: self.round_matrix(getattr(layer, name), normal) for name in names}
        rounded = _replace(layer, coded)
        inner = _Texts([hidden(layer, x) for x in normal.exact],
                       [hidden(rounded, x) for x in normal.rounded])  # fmt: skip
        coded["down"] = self.add_matrix(layer.down, inner, HIDDEN_DAMPING)
        return coded

    def round_matrix(
        self, weights: Floats, inputs: _Texts, codec: Codec | None = None
    ) -> CodedWeights:
        exact, rounded = inputs.both()
        missing = rounded.T @ (exact - rounded) @ weights
        return _round(weights, rounded, missing, codec or self.codec, DAMPING)

    def add_matrix(
        self, weights: Floats, inputs: _Texts, damping: float = DAMPING
    ) -> CodedWeights:
        """Round a matrix whose results are added to the residual, and add them."""
        exact, rounded = inputs.both()
        before, now = self.residual.both()
        missing = before - now + (exact - rounded) @ weights
        size = np.sqrt((before**2).mean(axis=-1, keepdims=True)) + 1e-9
        rounded, missing = rounded / size, missing / size
        coded = _round(weights, rounded, rounded.T @ missing, self.codec, damping)
        self.residual = _Texts(
            _add(self.residual.exact, inputs.exact, weights),
            _add(self.residual.rounded, inputs.rounded, coded.values()),
        )
        self.largest = max(self.largest, *(float(np.abs(x).max()) for x in self.residual.exact))
        return coded


def _add(x: list[Floats], inputs: list[Floats], weights: Floats) -> list[Floats]:
    return [one + two @ weights for one, two in zip(x, inputs, strict=True)]


def _round(
    weights: Floats, inputs: Floats, missing: Floats, codec: Codec, damping: float
) -> CodedWeights:
    """Return weights in a codec for ``inputs``; ``missing`` is ``inputs.T`` of what they lack."""
    gram = inputs.T @ inputs
    doubt = TRUST_DAMPING * np.trace(gram) / len(gram) + np.finfo(float).tiny
    change = np.linalg.solve(gram + doubt * np.eye(len(gram)), missing)
    return round_groups(weights + change, gram, codec, damping=damping)


def _replace(layer: FloatDecoderLayer, coded: dict[str, CodedWeights]) -> FloatDecoderLayer:
    return dataclasses.replace(layer, **{name: item.values() for name, item in coded.items()})
