"""One encoder layer in the integers of the hardware, from the golden models of its units.

Fixed point is int32 with LSB 2**-16 everywhere; *words* are int8 mantissas with an exponent for
each R of them. The functions of :mod:`systolith_sim.vector` say how each step rounds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_BITS, VALUE_WINDOW, ArrayConfig
from systolith_hw.tables import Function

from ..vector.exponential import exponentiate, reference
from ..vector.function import rectify
from ..vector.normalizer import normalize
from ..vector.requantizer import FIXED_MAX, FIXED_MIN, requantize
from ..vector.row import (
    Factor,
    multiply_entries,
    normal_factor,
    reciprocal_factor,
    row_sums,
    scale_row,
)

__all__ = [
    "VALUE_BASE",
    "EncoderLayer",
    "Linear",
    "Norm",
    "Words",
    "advance",
    "attend",
    "attend_head",
    "encode",
    "probability_base",
    "renew",
    "to_words",
]

Integers = NDArray[np.int64]

VALUE_BASE = 3
"""Fixed-point bits below V's exponent 0: V may be as large as 2**9, its LSB no less than 2**-13."""


@dataclass(frozen=True)
class Linear:
    """A matrix with its channels' scale entries.

    Parameters
    ----------
    weights : (K, N) int8
    scale, shift, bias : (N,) int64
        From products of weights and words' values to fixed point.
    """

    weights: Integers
    scale: Integers
    shift: Integers
    bias: Integers

    def __call__(self, x: "Words") -> Integers:
        """Return fixed point (S, N) from words of (S, K)."""
        scale, shift = self.scale, self.shift
        if x.factors is not None:
            scale, shift = multiply_entries(scale, shift, *x.factors)
        return requantize(self.products(x), scale, shift, self.bias)[0]

    def products(self, x: "Words", inputs: slice = slice(None)) -> Integers:
        """Return exact sums (S, N) of words of (S, K) times those ``inputs`` of the weights."""
        return x.times(self.weights[inputs])

    def add(self, z: Integers, x: "Words", chunk: int) -> Integers:
        """Return fixed point z (S, N) plus the result for words of (S, K).

        Every ``chunk`` inputs are multiplied, rounded and added on their own; the first of them
        bring the bias.
        """
        rows = x.mantissas.shape[-1]
        for first in range(0, len(self.weights), chunk):
            words = slice(first // rows, (first + chunk) // rows)
            part = Words(x.mantissas[..., words, :], x.exponents[..., words])
            bias = self.bias if first == 0 else np.zeros_like(self.bias)
            products = self.products(part, slice(first, first + chunk))
            z = _saturate(z + requantize(products, self.scale, self.shift, bias)[0])
        return z


@dataclass(frozen=True)
class Norm:
    """LayerNorm or RMSNorm: gamma and beta as scale entries, and constants of the row.

    Parameters
    ----------
    scale, shift, bias : (N,) int64
    negative : (N,) bool
    inverse : Factor
        1 / N.
    epsilon : int
        Its LSB is that of squares of what is normalised.
    centre : bool
        LayerNorm, which takes the mean off.
    """

    scale: Integers
    negative: NDArray[np.bool]
    shift: Integers
    bias: Integers
    inverse: Factor
    epsilon: int
    centre: bool = True

    def __call__(self, array: ArrayConfig, z: Integers, base: int) -> Integers:
        """Return fixed point (S, N); the statistics are those of z's words with that base."""
        words = to_words(array, z, base)
        rows = []
        for row, moments in zip(z, row_sums(words.mantissas, words.exponents), strict=True):
            mean, factor = normal_factor(
                moments, self.inverse, base=base, epsilon=self.epsilon, centre=self.centre
            )
            rows.append(scale_row(row, mean, factor, scale=self.scale, negative=self.negative,
                                  shift=self.shift, bias=self.bias))  # fmt: skip
        return np.stack(rows)


@dataclass(frozen=True)
class EncoderLayer:
    """The parameters of one layer.

    Parameters
    ----------
    heads : int
        H; each has D = N / H features.
    query, key, value, output, up, down : Linear
    attention_norm, output_norm : Norm
    score_shift : int
        From products of the mantissas of a query's words and a key to scores in powers of two,
        for a key of exponent 0: ``2**15 * 2**-shift``. The query's matrix has log2(e) / sqrt(D).
    base : int
        Fixed-point bits below exponent 0 of all words but V's.
    output_chunk, down_chunk : int
        Inputs of the two matrices that are multiplied at once: a multiple of R.
    activation : str
        "gelu", "silu" or "relu".
    """

    heads: int
    query: Linear
    key: Linear
    value: Linear
    output: Linear
    up: Linear
    down: Linear
    attention_norm: Norm
    output_norm: Norm
    score_shift: int
    base: int
    output_chunk: int
    down_chunk: int
    activation: str = "gelu"

    def expand(self, words: "Words") -> Integers:
        """Return hidden values, fixed point (S, F), of the up matrix's words."""
        hidden = self.up(words)
        if self.activation == "relu":
            return np.maximum(hidden, 0)
        return rectify(hidden, Function[self.activation.upper()])


@dataclass(frozen=True)
class Words:
    """Activation words.

    Parameters
    ----------
    mantissas : (..., words, R) int64
    exponents : (..., words) int64
    factors : pair of (S, 1) int64, or None
        Scales and shifts of what else multiplies each row, and matrices take up.
    """

    mantissas: Integers
    exponents: Integers
    factors: tuple[Integers, Integers] | None = None

    def times(self, operands: Integers) -> Integers:
        """Return exact products with (K, N) integers; words beyond K are multiplied by nothing."""
        values = self.mantissas << self.exponents[..., None]
        values = values.reshape(*values.shape[:-2], -1)[..., : len(operands)]
        # At most 52 bits (ArrayConfig), so float64 is exact, and fast.
        return (values.astype(np.float64) @ operands.astype(np.float64)).astype(np.int64)


def _saturate(z: Integers) -> Integers:
    return np.clip(z, FIXED_MIN, FIXED_MAX)


def to_words(array: ArrayConfig, z: Integers, base: int) -> Words:
    """Return fixed point (..., K) as words, the tail zero."""
    z = np.pad(z, [(0, 0)] * (z.ndim - 1) + [(0, -z.shape[-1] % array.rows)])
    mantissas, exponents, _, _ = normalize(
        z.reshape(*z.shape[:-1], -1, array.rows), base,
        mantissa_bits=array.mantissa_bits, window=array.window,
    )  # fmt: skip
    return Words(mantissas, exponents)


def probability_base(array: ArrayConfig) -> int:
    """Return the base of probabilities, whose largest exponent must still hold 31 bits."""
    return max(0, 31 - array.window - (array.mantissa_bits - 1))


def attend_head(
    array: ArrayConfig, query: Integers, key: Integers, value: Integers, *, base: int,
    score_shift: int, causal: bool = False,
) -> Integers:  # fmt: skip
    """Return the context of one head, fixed point (S, D), of its queries (S, D).

    Keys and values are (T, D), T at least S: the queries are those of the last tokens. If
    ``causal``, no token attends to those behind it.
    """
    # K and V as they lie in operand memory: bytes, and one exponent for each token.
    keys, key_exponents, _, _ = normalize(  # (T, D), (T,)
        key, base, mantissa_bits=8, window=array.window
    )
    values, value_exponents, _, _ = normalize(  # (T, D), (T,)
        value, VALUE_BASE, mantissa_bits=8, window=min(array.window, VALUE_WINDOW)
    )
    products = to_words(array, query, base).times(keys.T)  # (S, T): a row for each query
    # A key's exponent is taken up by the scale of its column of scores.
    scores, _ = requantize(products, 1 << SCALE_BITS - 1, score_shift - key_exponents, 0)
    behind = len(keys) - len(query) if causal else len(keys)
    seen = np.tri(len(query), len(keys), k=behind, dtype=bool)
    # (S, T), not yet divided: with the exponents of V to be multiplied, without to be summed.
    powers, summands = exponentiate(
        scores, reference(np.where(seen, scores, FIXED_MIN)),
        np.broadcast_to(value_exponents, scores.shape),
    )  # fmt: skip
    power_base = probability_base(array)
    products = to_words(array, np.where(seen, powers, 0), power_base).times(values)  # (S, D)
    # One over the row's sum; the LSBs of V and of probabilities are taken off its shift.
    totals = np.where(seen, summands, 0).sum(axis=-1)
    factors = [reciprocal_factor(int(total)) for total in totals]
    scale = np.array([[factor.scale] for factor in factors])
    shift = np.array([[factor.shift - VALUE_BASE - power_base] for factor in factors])
    return requantize(products, scale, shift, 0)[0]


def attend(array: ArrayConfig, layer: EncoderLayer, x: Words) -> Integers:
    """Return the context of all heads, fixed point (S, N), of one sentence's words (S, N)."""
    split = (len(x.exponents), layer.heads, -1)
    query, key, value = (
        linear(x).reshape(split).swapaxes(0, 1)  # (H, S, D)
        for linear in (layer.query, layer.key, layer.value)
    )
    context = [
        attend_head(array, *head, base=layer.base, score_shift=layer.score_shift)
        for head in zip(query, key, value, strict=True)
    ]
    return np.concatenate(context, axis=-1)


def renew(
    array: ArrayConfig, norm: Norm, z: Integers, base: int, *, back: bool
) -> tuple[Integers, Words]:
    """Return a sentence's residual (S, N) and the norm's words; ``back``, those are both."""
    normed = norm(array, z, base)
    return normed if back else z, to_words(array, normed, base)


def advance(
    array: ArrayConfig, layer: EncoderLayer, z: Integers, words: Words, *, back: bool = True
) -> tuple[Integers, Words]:
    """Return one sentence's residual, fixed point (S, N), and words, after ``layer``.

    Words are what matrices take. With ``back`` norms renew the residual, too; otherwise they stand
    before attention and feed-forward: ``attention_norm`` is the one between these, and
    ``output_norm`` the next layer's first.
    """
    context = to_words(array, attend(array, layer, words), layer.base)
    z = layer.output.add(z, context, layer.output_chunk)
    z, words = renew(array, layer.attention_norm, z, layer.base, back=back)
    hidden = to_words(array, layer.expand(words), layer.base)
    z = layer.down.add(z, hidden, layer.down_chunk)
    return renew(array, layer.output_norm, z, layer.base, back=back)


def encode(array: ArrayConfig, layer: EncoderLayer, x: Integers) -> Integers:
    """Return one sentence, fixed point (S, N), after ``layer``, whose norms come last."""
    return advance(array, layer, x, to_words(array, x, layer.base))[0]
