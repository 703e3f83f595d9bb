"""One decoder layer in the integers of the hardware, from the golden models of its units.

It shares matrices, norms, words and the attention of one head with
:mod:`systolith_sim.transformer.encoder`. Fixed point is int32; each tensor has an LSB of its own,
which the quantiser chose: none of the functions here needs to know it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import ArrayConfig
from systolith_hw.tables import Function

from ..vector.function import rectify
from ..vector.product import multiply
from ..vector.requantizer import clip_normal
from ..vector.rotary import rotate
from .decoder_reference import KeyValueCache
from .encoder import Linear, Words, attend_head, to_words
from .row_norm import RowNorm

__all__ = ["DecoderLayer", "GatedHidden", "RectifiedHidden", "RotaryRows", "advance"]

Integers = NDArray[np.int64]

RotaryRows = tuple[Integers, Integers]
"""Cosines and sines (S, D), one row for each token: :mod:`systolith_sim.vector.rotary`."""


@dataclass(frozen=True)
class GatedHidden:
    """SwiGLU: ``silu(gate) * up``.

    Parameters
    ----------
    gate, up : Linear
        The gate's result has LSB 2**-16.
    gate_shift, shift : int
        Of :func:`systolith_sim.vector.product.multiply`.
    """

    gate: Linear
    up: Linear
    gate_shift: int
    shift: int

    def __call__(self, x: Words) -> Integers:
        """Return hidden values, fixed point (S, F)."""
        return multiply(
            self.up(x), rectify(self.gate(x), Function.SILU), self.gate_shift, self.shift
        )


@dataclass(frozen=True)
class RectifiedHidden:
    """ReLU.

    Parameters
    ----------
    up : Linear
    """

    up: Linear

    def __call__(self, x: Words) -> Integers:
        """Return hidden values, fixed point (S, F)."""
        return np.maximum(self.up(x), 0)


@dataclass(frozen=True)
class DecoderLayer:
    """The parameters of one layer.

    Parameters
    ----------
    heads, key_heads : int
        H heads of queries, G of keys and values, each of which H / G of the former share.
    norm, hidden_norm : RowNorm
        In front of the attention, and of the hidden values.
    query, key, value, output : Linear
        The query's matrix has log2(e) / sqrt(D). Output has rows of zeros behind each head's, so
        that the next one's begin a word.
    hidden : GatedHidden or RectifiedHidden
    down : Linear
    score_shift : int
        From products of the mantissas of a query's words and a key to scores in powers of two,
        for a key of exponent 0: ``2**15 * 2**-shift``.
    base : int
        Fixed-point bits below exponent 0 of all words but V's.
    output_chunk, down_chunk : int
        Inputs of the two matrices that are multiplied at once: a multiple of R.
    """

    heads: int
    key_heads: int
    norm: RowNorm
    hidden_norm: RowNorm
    query: Linear
    key: Linear
    value: Linear
    output: Linear
    hidden: GatedHidden | RectifiedHidden
    down: Linear
    score_shift: int
    base: int
    output_chunk: int
    down_chunk: int


def advance(
    array: ArrayConfig, layer: DecoderLayer, x: Integers, cache: KeyValueCache, number: int,
    rotary: RotaryRows | None,
) -> Integers:  # fmt: skip
    """Return the residual, fixed point (S, N), of S more tokens after layer ``number``.

    ``cache`` has keys and values of the tokens before them, and gets theirs. Whether tokens come
    one by one or together makes no difference to any bit.
    """
    context = _attend(array, layer, layer.norm(array, x), cache, number, rotary)
    x = layer.output.add(x, context, layer.output_chunk)
    hidden = to_words(array, layer.hidden(layer.hidden_norm(array, x)), layer.base)
    return layer.down.add(x, hidden, layer.down_chunk)


def _attend(
    array: ArrayConfig, layer: DecoderLayer, x: Words, cache: KeyValueCache, number: int,
    rotary: RotaryRows | None,
) -> Words:  # fmt: skip
    """Return the context, each head of which begins a word."""
    count = len(x.exponents)
    query = layer.query(x).reshape(count, layer.heads, -1)
    key = layer.key(x).reshape(count, layer.key_heads, -1)
    value = layer.value(x).reshape(count, layer.key_heads, -1)
    query, key = _turn(query, rotary), _turn(key, rotary)
    keys, values = cache.append(number, key, value)  # (T, G, D)
    shared = layer.heads // layer.key_heads
    heads = (
        attend_head(
            array, query[:, head], keys[:, head // shared], values[:, head // shared],
            base=layer.base, score_shift=layer.score_shift, causal=True,
        )
        for head in range(layer.heads)
    )  # fmt: skip
    context = [to_words(array, head, layer.base) for head in heads]
    return Words(
        np.concatenate([words.mantissas for words in context], axis=-2),
        np.concatenate([words.exponents for words in context], axis=-1),
    )


def _turn(z: Integers, rotary: RotaryRows | None) -> Integers:
    """Return heads (S, heads, D) at their positions."""
    if rotary is None:
        return z
    cosine, sine = rotary
    return rotate(clip_normal(z), cosine[:, None], sine[:, None])
