"""From a checkpoint's tensors, whatever they are called, to a model in float."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_reference import FloatDecoder, FloatDecoderLayer

from .errors import CheckpointError

__all__ = ["DecoderShape", "TensorNames", "assemble"]

Floats = NDArray[np.floating]

BUFFERS = (".rotary_emb.inv_freq",)
"""Endings of tensors that some checkpoints keep though they follow from the configuration."""


@dataclass(frozen=True, kw_only=True)
class DecoderShape:
    """What a checkpoint's configuration says of a model of Llama's family.

    Parameters
    ----------
    layers, features, heads, key_heads, head_features, hidden, vocabulary, context : int
    epsilon : float
        Of RMSNorm.
    rotary_base : float
    own_head : bool
        Whether the output head is a matrix of its own, not the embedding.
    """

    layers: int
    features: int
    heads: int
    key_heads: int
    head_features: int
    hidden: int
    vocabulary: int
    context: int
    epsilon: float
    rotary_base: float
    own_head: bool

    def __post_init__(self) -> None:
        """Check what no field alone can tell."""
        if self.heads % self.key_heads:
            raise CheckpointError(
                f"the model has {self.heads} heads of queries, which must be a multiple of its "
                f"{self.key_heads} heads of keys"
            )
        if self.head_features % 2:
            raise CheckpointError(
                f"the model's heads have {self.head_features} features, which must be even, since "
                "rotary positions turn pairs"
            )


@dataclass(frozen=True, kw_only=True)
class TensorNames:
    """How a kind of checkpoint names and lays out its tensors.

    Parameters
    ----------
    embedding, norm, head : str
    attention_norm, query, key, value, output, hidden_norm, gate, up, down : str
        With ``{}`` for the number of the layer.
    outputs_first : bool
        Whether matrices are (outputs, inputs).
    half_split : bool
        Whether rotary positions turn features i and i + D / 2 of a head together.
    """

    embedding: str
    norm: str
    head: str
    attention_norm: str
    query: str
    key: str
    value: str
    output: str
    hidden_norm: str
    gate: str
    up: str
    down: str
    outputs_first: bool
    half_split: bool


def assemble(
    arrays: Mapping[str, NDArray], names: TensorNames, shape: DecoderShape
) -> FloatDecoder:
    """Return the model that the tensors are.

    Raises
    ------
    CheckpointError
        If one is missing, too many, misshapen, not of floating point, or not finite.
    """
    tensors = _Tensors(arrays, names)
    features = shape.features
    embedding = tensors.take(names.embedding, (shape.vocabulary, features))
    head = embedding
    if shape.own_head:
        head = tensors.take(names.head, (shape.vocabulary, features))
    elif names.head in arrays and not np.array_equal(arrays[names.head], arrays[names.embedding]):
        raise CheckpointError(
            f"the checkpoint's tensor {names.head} is not {names.embedding}, but its "
            "configuration says that both are one"
        )
    layers = [_layer(tensors, names, shape, number) for number in range(shape.layers)]
    norm = tensors.take(names.norm, (features,))
    tensors.refuse_others()
    return FloatDecoder(
        heads=shape.heads, key_heads=shape.key_heads, epsilon=shape.epsilon,
        rotary_base=shape.rotary_base, context=shape.context, embedding=embedding,
        positions=None, layers=layers, norm=norm, head=head,
    )  # fmt: skip


def _layer(
    tensors: "_Tensors", names: TensorNames, shape: DecoderShape, number: int
) -> FloatDecoderLayer:
    features, hidden = shape.features, shape.hidden
    queries, keys = shape.heads * shape.head_features, shape.key_heads * shape.head_features
    query = tensors.matrix(names.query.format(number), features, queries)
    key = tensors.matrix(names.key.format(number), features, keys)
    if names.half_split:
        query, key = (_pair_up(matrix, shape.head_features) for matrix in (query, key))
    return FloatDecoderLayer(
        attention_norm=tensors.take(names.attention_norm.format(number), (features,)),
        query=query,
        key=key,
        value=tensors.matrix(names.value.format(number), features, keys),
        output=tensors.matrix(names.output.format(number), queries, features),
        hidden_norm=tensors.take(names.hidden_norm.format(number), (features,)),
        gate=tensors.matrix(names.gate.format(number), features, hidden),
        up=tensors.matrix(names.up.format(number), features, hidden),
        down=tensors.matrix(names.down.format(number), hidden, features),
    )


def _pair_up(matrix: Floats, head_features: int) -> Floats:
    """Reorder outputs of each head so that features i and i + D / 2 become 2i and 2i + 1."""
    halves = matrix.reshape(len(matrix), -1, 2, head_features // 2)
    return np.ascontiguousarray(halves.swapaxes(2, 3)).reshape(matrix.shape)


class _Tensors:
    """Tensors of a checkpoint, each taken by its name and checked."""

    def __init__(self, arrays: Mapping[str, NDArray], names: TensorNames) -> None:
        self._arrays = arrays
        self._names = names
        self._taken = {names.head}

    def take(self, name: str, shape: tuple[int, ...]) -> Floats:
        """Return a tensor of this shape as float32."""
        if name not in self._arrays:
            raise CheckpointError(f"the checkpoint has no tensor {name}")
        array = self._arrays[name]
        if array.shape != shape:
            raise CheckpointError(
                f"the checkpoint's tensor {name} has shape {array.shape}, but must have {shape}"
            )
        if array.dtype.kind != "f":
            raise CheckpointError(
                f"the checkpoint's tensor {name} has numbers of type {array.dtype}, but must have "
                "floating point"
            )
        if not np.isfinite(array).all():
            raise CheckpointError(
                f"the checkpoint's tensor {name} has values that are infinite or no number"
            )
        self._taken.add(name)
        return array.astype(np.float32, copy=False)

    def matrix(self, name: str, inputs: int, outputs: int) -> Floats:
        """Return a matrix (inputs, outputs)."""
        if self._names.outputs_first:
            return self.take(name, (outputs, inputs)).T
        return self.take(name, (inputs, outputs))

    def refuse_others(self) -> None:
        """Refuse tensors that would change what the model computes."""
        for name in sorted(set(self._arrays) - self._taken):
            if not name.endswith(BUFFERS):
                raise CheckpointError(
                    f"the checkpoint has a tensor {name}, for which the model has no place"
                )
