"""From the floats of a language model to the integers of :mod:`systolith_sim.transformer.decoder`.

Gammas go into the matrices behind them (:mod:`.norm_folding`). No LSB depends on any text but the
residual's. What RMSNorm leaves has a norm of at most sqrt(N), so that a result of a matrix W behind
it is at most ``sqrt(N) * |W[:, n]|`` (Cauchy and Schwarz): LSBs of what is clipped to 18 bits are
those for which nothing is ever clipped.
"""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import (
    FIXED_BITS,
    NORMAL_BITS,
    SCALE_BITS,
    VALUE_WINDOW,
    ArrayConfig,
    Config,
)
from systolith_hw.isa import LoadKind
from systolith_hw.tables import FRACTION
from systolith_sim.dma.codec import GROUP
from systolith_sim.transformer.decoder import DecoderLayer, GatedHidden, RectifiedHidden
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import FloatDecoder, FloatDecoderLayer
from systolith_sim.transformer.encoder import (
    VALUE_BASE,
    Linear,
    Words,
    probability_base,
    to_words,
)
from systolith_sim.transformer.row_norm import RowNorm
from systolith_sim.vector.rotary import rotary_table

from .coded_linear import CodedLinear
from .decoder_rounding import Rounded
from .encoder_quantizer import factor
from .group_rounding import CodedWeights
from .norm_folding import fold_norms
from .opening_tables import OpeningTables
from .quantize import WEIGHT_LIMIT, ActivationFormat, scale_entries
from .recipes import NOTHING

__all__ = [
    "GATE_SHIFT", "Fractions", "begins_in_tables", "choose_fractions", "quantize_decoder",
    "residual_fraction",
]  # fmt: skip

Floats = NDArray[np.floating]

GATE_SHIFT = 7
"""The gate, LSB 2**-16 behind SiLU, is multiplied with LSB 2**-9: magnitudes up to 256."""

PRODUCT_SHIFT = 3
"""What two numbers of 18 bits have beyond 32."""

WORD_ERROR = 1 / 16
"""How much the rounding to words may add to the norm of a row, generously."""

HEADROOM = 4.0
"""How much larger than on the measured text the residual may become before it saturates."""


@dataclass(frozen=True)
class Fractions:
    """Fixed-point bits of results whose LSB is not 2**-16: ``2**-fraction``.

    Parameters
    ----------
    residual, query, key, value, up : int
    """

    residual: int
    query: int
    key: int
    value: int
    up: int


def residual_fraction(largest: float) -> int:
    """Return the residual's, at most 16: the epsilon of norms has LSB ``2**-(2 * fraction)``."""
    return min(FRACTION, FIXED_BITS - 1 - _integer_bits(largest))


def residual_base(array: ArrayConfig, largest: float, fraction: int) -> int:
    """Return the base of words of the residual: the largest exponent still holds all of it."""
    return max(0, _integer_bits(largest) + fraction - array.window - (array.mantissa_bits - 1))


def _integer_bits(largest: float) -> int:
    return math.ceil(math.log2(max(largest, 1.0) * HEADROOM))


def choose_fractions(
    model: FloatDecoder, residual: int, layers: Iterable[FloatDecoderLayer]
) -> Fractions:
    """Return the finest fractions for which nothing is clipped in any of the layers."""
    layers = list(layers)
    normal = 1 << NORMAL_BITS - 1
    value = WEIGHT_LIMIT << VALUE_WINDOW + VALUE_BASE
    sharpness = _sharpness(model, layers[0])
    return Fractions(
        residual,
        query=_fraction(max(_bound(x.query) for x in layers) * sharpness, normal),
        key=_fraction(max(_bound(x.key) for x in layers), normal),
        value=_fraction(max(_bound(x.value) for x in layers), value),
        up=_fraction(max(_bound(x.up) for x in layers), normal),
    )


def quantize_decoder(
    config: Config, model: FloatDecoder, rounded: Rounded, *,
    output_chunk: int | None = None, down_chunk: int | None = None, streamed: bool = False,
    tabled: bool | None = None,
) -> DecoderModel:  # fmt: skip
    """Return a model in integers.

    Chunks are by default all inputs, or parts of them if norms are deferred: then the core is there
    for one token, and what is ready need not wait.

    Parameters
    ----------
    rounded : Rounded
        From :func:`systolith.compiler.decoder_rounding.round_decoder`.
    streamed : bool
        Its weights will be in external memory. No norm is deferred then; on the chip they are where
        the core has that.
    tabled : bool
        Its tokens begin in tables; by default as :func:`begins_in_tables` says.
    output_chunk, down_chunk : int
        See :class:`systolith_sim.transformer.decoder.DecoderLayer`.
    """
    array, model = config.array, fold_norms(model, rounded.order)
    base = probability_base(array)
    whole = [rounded.layer(layer, number) for number, layer in enumerate(model.layers)]
    fractions = choose_fractions(model, residual_fraction(rounded.largest), whole)
    deferred = config.vector.deferred_norms and not streamed
    norm = _norm(config.array, model, rounded.largest, fractions.residual, deferred)
    if tabled is None:
        tabled = begins_in_tables(config, model, streamed=streamed)
    # Nothing waits for a norm whose words come out of tables, so that one is whole.
    first = _norm(array, model, rounded.largest, fractions.residual, deferred and not tabled)
    layers = [
        _layer(config, model, layer, coded, fractions, (first, norm), output_chunk, down_chunk)
        for layer, coded in zip(model.layers, rounded.layers, strict=True)
    ]
    features = model.layers[0].query.shape[1] // model.heads
    return DecoderModel(
        array=array,
        fraction=fractions.residual,
        embedding=_words(config, model.embedding, fractions.residual),
        positions=None if model.positions is None else
            _words(config, model.positions, fractions.residual),
        rotary=None if model.rotary_base is None else
            rotary_table(np.arange(model.context), features, model.rotary_base),
        layers=layers,
        norm=norm,
        head=_linear(rounded.head, FRACTION, FRACTION, norm.base),
        base=base,
    )  # fmt: skip


def begins_in_tables(config: Config, model: FloatDecoder, *, streamed: bool = False) -> bool:
    """Return whether a model's tokens begin in tables (:mod:`.opening_tables`)."""
    tables = OpeningTables(config, len(model.norm), len(model.embedding))
    single = len(model.layers) == 1 and not streamed
    return single and config.vector.deferred_norms and tables.fit


def _layer(
    config: Config, model: FloatDecoder, layer: FloatDecoderLayer,
    coded: dict[str, CodedWeights], fractions: Fractions, norms: tuple[RowNorm, RowNorm],
    output_chunk: int | None, down_chunk: int | None,
) -> DecoderLayer:  # fmt: skip
    base = probability_base(config.array)
    first, norm = norms
    up = _linear(coded["up"], FRACTION, fractions.up, norm.base)
    hidden: GatedHidden | RectifiedHidden = RectifiedHidden(up)
    hidden_fraction = fractions.up
    if layer.gate is not None:
        gate = _linear(coded["gate"], FRACTION, FRACTION, norm.base)
        hidden = GatedHidden(gate, up, GATE_SHIFT, PRODUCT_SHIFT)
        hidden_fraction += FRACTION - GATE_SHIFT - PRODUCT_SHIFT
    residual = fractions.residual
    rows, share = config.array.rows, model.heads // model.key_heads
    head = _padded(len(layer.output) // model.heads, rows)
    unit = rows if coded["down"].kind == LoadKind.OPERAND_ROWS else GROUP
    return DecoderLayer(
        heads=model.heads,
        key_heads=model.key_heads,
        norm=first,
        hidden_norm=norm,
        query=_linear(
            coded["query"], FRACTION, fractions.query, first.base, _sharpness(model, layer)
        ),
        key=_linear(coded["key"], FRACTION, fractions.key, first.base),
        value=_linear(coded["value"], FRACTION, fractions.value, first.base),
        output=_by_head(
            _linear(coded["output"], fractions.value, residual, base), model.heads, rows
        ),
        hidden=hidden,
        down=_linear(coded["down"], hidden_fraction, residual, base),
        score_shift=SCALE_BITS - 1 - FRACTION + fractions.query + fractions.key - 2 * base,
        base=base,
        output_chunk=output_chunk or _chunk(head * model.heads, share * head, 2, norm),
        down_chunk=down_chunk or _chunk(_padded(len(layer.down), rows), unit, 3, norm),
    )


def _linear(
    coded: CodedWeights, inputs: int, fraction: int, base: int, factor: float = 1.0
) -> Linear:
    """Return ``factor`` times a matrix, from words of fraction ``inputs`` to that of the result."""
    scales = scale_entries(coded.step * factor, ActivationFormat(inputs, base), fraction)
    weights: NDArray[Any] = coded.integers.astype(np.int8)
    if coded.kind == LoadKind.OPERAND_ROWS:
        return Linear(weights, scales.scale, scales.shift, scales.bias)
    return CodedLinear(
        weights, scales.scale, scales.shift, scales.bias, coded.kind, coded.recipes()
    )


def _by_head(output: Linear, heads: int, rows: int) -> Linear:
    """Return the output matrix with zeros behind each head's rows, up to whole words."""

    def widen(table: NDArray[Any], filler: int) -> NDArray[Any]:
        parts = table.reshape(heads, -1, table.shape[1])
        fill = _padded(parts.shape[1], rows) - parts.shape[1]
        wide = np.pad(parts, ((0, 0), (0, fill), (0, 0)), constant_values=filler)
        return wide.reshape(-1, table.shape[1])

    changes = {"weights": widen(output.weights, 0)}
    if isinstance(output, CodedLinear):
        changes["recipes"] = widen(output.recipes, NOTHING)
    return dataclasses.replace(output, **changes)


def _norm(
    array: ArrayConfig, model: FloatDecoder, largest: float, fraction: int, deferred: bool
) -> RowNorm:
    """Return the model's norm."""
    features = len(model.norm)
    units = max(1, round(math.ldexp(model.epsilon, 2 * fraction)))
    base = residual_base(array, largest, fraction) if deferred else probability_base(array)
    return RowNorm(features, factor(1 / features), units, base, deferred)


def _words(config: Config, table: Floats, fraction: int) -> Words:
    """Return an embedding's rows as words."""
    fixed = np.rint(np.ldexp(np.asarray(table, np.float64), fraction)).astype(np.int64)
    words = to_words(config.array, fixed, probability_base(config.array))
    return Words(words.mantissas.astype(np.int16), words.exponents.astype(np.uint8))


def _bound(weights: Floats) -> float:
    """Return what no result of a matrix behind a norm exceeds."""
    column = np.linalg.norm(weights, axis=0).max()
    return float(column) * math.sqrt(len(weights)) * (1 + WORD_ERROR)


def _fraction(bound: float, limit: int) -> int:
    """Return the finest fraction with which ``bound`` stays below ``limit``."""
    return math.floor(math.log2(limit / bound))


def _sharpness(model: FloatDecoder, layer: FloatDecoderLayer) -> float:
    """Return what makes scores powers of two."""
    return math.log2(math.e) / math.sqrt(layer.query.shape[1] / model.heads)


def _chunk(inputs: int, unit: int, parts: int, norm: RowNorm) -> int:
    """Return how many of so many inputs are multiplied at once: all, or units for some parts."""
    return -(-inputs // (parts * unit)) * unit if norm.deferred else inputs


def _padded(inputs: int, rows: int) -> int:
    return -(-inputs // rows) * rows
