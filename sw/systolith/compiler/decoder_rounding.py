"""Round all matrices of a language model, in order, with the help of a little text.

The text goes through the model twice: as it is, and as far as it is rounded already. A matrix is
to bring what has become of its inputs to the results that were right: besides its own rounding it
makes up for what came before, as far as its inputs tell. This is GPTQ (Frantar et al., 2022) with
another target than the weights themselves; those of matrices that add to the residual count
the residual's whole error, of each token in units of its size, which is what norms leave of it.
"""

import dataclasses
from collections.abc import Iterator, Sequence
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
from .group_rounding import SWEEPS, CodedWeights, GroupRounder, by_columns
from .norm_folding import fold_norms, layer_alone, order_features
from .rounding import DAMPING
from .weight_codecs import Codec

__all__ = ["Rounded", "round_decoder"]

Floats = NDArray[np.floating]

HIDDEN_DAMPING = 0.3
"""Few hidden values are large, and not the same for all texts: silence of others proves little."""

TRUST_DAMPING = 0.1
"""Of the mean square of an input: how little is believed of what others' errors tell."""

ROWS = 4096
"""Of texts that are multiplied at once."""


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

    def pairs(self) -> Iterator[tuple[Floats, Floats]]:
        """Yield some rows of both, what is exact less what is rounded, and the latter."""
        for exact, rounded in zip(_bundled(self.exact), _bundled(self.rounded), strict=True):
            rounded = rounded.astype(np.float64)
            yield exact - rounded, rounded


def _bundled(parts: list[Floats]) -> Iterator[Floats]:
    """Yield the rows of all parts, many at once."""
    some: list[Floats] = []
    for place, part in enumerate(parts, 1):
        some.append(part)
        if sum(map(len, some)) >= ROWS or place == len(parts):
            yield np.concatenate(some)
            some = []


def round_decoder(
    model: FloatDecoder, documents: Sequence[Sequence[int]], codec: Codec, head_codec: Codec, *,
    folded: bool = True, sweeps: int = SWEEPS,
) -> Rounded:  # fmt: skip
    """Return all matrices of a model in a codec.

    Parameters
    ----------
    model : FloatDecoder
    documents : sequence of token numbers
    codec, head_codec : Codec
        Of the layers' matrices, and of the head.
    folded : bool
        Put gammas into the matrices.
    sweeps : int
        How often each matrix's codes are gone through again.
    """
    order = feature_order(model, documents) if folded else np.arange(len(model.norm))
    prepare = fold_norms if folded else order_features
    others = prepare(dataclasses.replace(model, layers=[]), order)
    rounder = _Rounder(others, documents, codec, sweeps)
    layers = [
        rounder.round_layer(prepare(layer_alone(model, number), order).layers[0])
        for number in range(len(model.layers))
    ]
    (head,) = rounder.round_matrices([others.head.T], rounder.normalize(others.norm), head_codec)
    return Rounded(layers, head, rounder.largest, order, folded)


class _Rounder:
    """Takes documents through a model, layer by layer.

    Parameters
    ----------
    model : FloatDecoder
        Its layers are not looked at.
    documents : sequence of token numbers
    codec : Codec
    sweeps : int
    """

    def __init__(
        self, model: FloatDecoder, documents: Sequence[Sequence[int]], codec: Codec, sweeps: int
    ) -> None:
        self.model = model
        self.codec = codec
        self.sweeps = sweeps
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

    def round_layer(self, layer: FloatDecoderLayer) -> dict[str, CodedWeights]:
        """Take the residual past a layer; return its matrices."""
        model = self.model
        normal = self.normalize(layer.attention_norm)
        coded = self.round_named(layer, ("query", "key", "value"), normal)
        rounded = _replace(layer, coded)
        context = _Texts(*(
            [model.attend(one, x, KeyValueCache(1), 0) for x in texts]
            for one, texts in ((layer, normal.exact), (rounded, normal.rounded))
        ))  # fmt: skip
        coded["output"] = self.add_matrix(layer.output, context)

        normal = self.normalize(layer.hidden_norm)
        names = ("up",) if layer.gate is None else ("gate", "up")
        coded |= self.round_named(layer, names, normal)
        rounded = _replace(layer, coded)
        inner = _Texts([hidden(layer, x) for x in normal.exact],
                       [hidden(rounded, x) for x in normal.rounded])  # fmt: skip
        coded["down"] = self.add_matrix(layer.down, inner, HIDDEN_DAMPING)
        return coded

    def round_named(
        self, layer: FloatDecoderLayer, names: Sequence[str], inputs: _Texts
    ) -> dict[str, CodedWeights]:
        matrices = [getattr(layer, name) for name in names]
        return dict(zip(names, self.round_matrices(matrices, inputs, self.codec), strict=True))

    def round_matrices(
        self, matrices: Sequence[Floats], inputs: _Texts, codec: Codec
    ) -> list[CodedWeights]:
        """Round matrices that take the same inputs."""
        gram = lacking = np.zeros(())
        for error, rounded in inputs.pairs():
            gram, lacking = gram + rounded.T @ rounded, lacking + rounded.T @ error
        rounder, change = GroupRounder(gram, DAMPING), _believed(gram, lacking)
        together = matrices[0] if len(matrices) == 1 else np.concatenate(matrices, axis=1)
        coded = CodedWeights.joined([
            rounder.round(part + change @ part, codec, sweeps=self.sweeps)
            for part in by_columns(together)
        ])  # fmt: skip
        return coded.split([weights.shape[1] for weights in matrices])

    def add_matrix(
        self, weights: Floats, inputs: _Texts, damping: float = DAMPING
    ) -> CodedWeights:
        """Round a matrix whose results are added to the residual, and add them."""
        gram = missing = np.zeros(())
        exact = weights.astype(np.float64)
        for (error, rounded), (behind, now) in zip(
            inputs.pairs(), self.residual.pairs(), strict=True
        ):
            size = np.sqrt(((behind + now) ** 2).mean(axis=-1, keepdims=True)) + 1e-9
            wanted = (behind + error @ exact) / size
            rounded /= size
            gram, missing = gram + rounded.T @ rounded, missing + rounded.T @ wanted
        rounder, change = GroupRounder(gram, damping), _believed(gram, missing)
        coded = CodedWeights.joined([
            rounder.round(part, self.codec, sweeps=self.sweeps)
            for part in by_columns(exact + change)
        ])  # fmt: skip
        self.residual = _Texts(
            _add(self.residual.exact, inputs.exact, weights),
            _add(self.residual.rounded, inputs.rounded, coded.values()),
        )
        self.largest = max(self.largest, *(float(np.abs(x).max()) for x in self.residual.exact))
        return coded


def _add(x: list[Floats], inputs: list[Floats], weights: Floats) -> list[Floats]:
    return [one + two @ weights for one, two in zip(x, inputs, strict=True)]


def _believed(gram: Floats, lacking: Floats) -> Floats:
    """Return the change of weights that makes up for what results lack: ``inputs.T`` of it."""
    doubt = TRUST_DAMPING * np.trace(gram) / len(gram) + np.finfo(float).tiny
    return np.linalg.solve(gram + doubt * np.eye(len(gram)), lacking)


def _replace(layer: FloatDecoderLayer, coded: dict[str, CodedWeights]) -> FloatDecoderLayer:
    return dataclasses.replace(layer, **{name: item.values() for name, item in coded.items()})
