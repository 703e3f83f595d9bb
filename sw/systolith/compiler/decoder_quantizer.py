"""From the floats of a language model to the integers of :mod:`systolith_sim.transformer.decoder`.

Gammas are in the matrices behind them (:mod:`.norm_folding`), or, of a model that is streamed, left
to the norms: NORM has entries of its own there. LSBs are chosen in :mod:`.decoder_fractions`.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_BITS, ArrayConfig, Config
from systolith_hw.isa import LoadKind
from systolith_hw.tables import FRACTION
from systolith_sim.dma.codec import GROUP
from systolith_sim.transformer.decoder import DecoderLayer, GatedHidden, RectifiedHidden
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import FloatDecoder, FloatDecoderLayer
from systolith_sim.transformer.encoder import Linear, Words, probability_base, to_words
from systolith_sim.transformer.row_norm import Gains, RowNorm
from systolith_sim.vector.rotary import rotary_table

from .coded_linear import CodedLinear
from .decoder_fractions import (
    Fractions,
    choose_fractions,
    residual_base,
    residual_fraction,
    score_sharpness,
)
from .decoder_rounding import Rounded
from .encoder_quantizer import factor, gamma_entries
from .group_rounding import CodedWeights
from .norm_folding import layer_alone
from .opening_tables import OpeningTables
from .quantize import ActivationFormat, scale_entries
from .recipes import NOTHING

__all__ = ["GATE_SHIFT", "begins_in_tables", "quantize_decoder"]

Floats = NDArray[np.floating]

GATE_SHIFT = 7
"""The gate, LSB 2**-16 behind SiLU, is multiplied with LSB 2**-9: magnitudes up to 256."""

ROWS = 1024
"""Of an embedding that become words at once."""

PRODUCT_SHIFT = 3
"""What two numbers of 18 bits have beyond 32."""


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
        From :func:`systolith.compiler.decoder_rounding.round_decoder`, ``folded`` unless streamed.
    streamed : bool
        Its weights will be in external memory. No norm is deferred then, and norms may have gammas;
        on the chip they are deferred where the core has that.
    tabled : bool
        Its tokens begin in tables; by default as :func:`begins_in_tables` says.
    output_chunk, down_chunk : int
        See :class:`systolith_sim.transformer.decoder.DecoderLayer`.

    Raises
    ------
    ValueError
        If norms of a model for the chip have gammas.
    """
    if not (rounded.folded or streamed):
        raise ValueError("on the chip, gammas must be folded into the rounded matrices")
    array = config.array
    base = probability_base(array)
    whole = (rounded.layer(_prepared_layer(rounded, model, number), number)
             for number in range(len(model.layers)))  # fmt: skip
    fractions = choose_fractions(array, model, residual_fraction(rounded.largest), whole)
    deferred = config.vector.deferred_norms and not streamed
    norm = _norm(config.array, model, rounded.largest, fractions.residual, deferred)
    if tabled is None:
        tabled = begins_in_tables(config, model, streamed=streamed)
    # Nothing waits for a norm whose words come out of tables, so that one is whole.
    first = _norm(array, model, rounded.largest, fractions.residual, deferred and not tabled)
    layers = [
        _layer(
            config, model, layer, coded, fractions,
            (_with_gains(first, layer.attention_norm), _with_gains(norm, layer.hidden_norm)),
            output_chunk, down_chunk,
        )
        for layer, coded in zip(
            (_prepared_layer(rounded, model, number) for number in range(len(model.layers))),
            rounded.layers, strict=True,
        )
    ]  # fmt: skip
    model = rounded.prepare(
        dataclasses.replace(model, layers=model.layers[:1], head=model.head[:0])
    )
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
        norm=_with_gains(norm, model.norm),
        head=_linear(rounded.head, FRACTION, FRACTION, norm.base),
        base=base,
    )  # fmt: skip


def _prepared_layer(
    rounded: Rounded, model: FloatDecoder, number: int
) -> FloatDecoderLayer:
    """Return one layer as it is rounded, so that no model is there twice."""
    return rounded.prepare(layer_alone(model, number)).layers[0]


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
    unit = max(rows, config.array.columns)  # whole words that are made of whole tiles
    if coded["down"].kind != LoadKind.OPERAND_ROWS:
        unit = max(unit, GROUP)
    return DecoderLayer(
        heads=model.heads,
        key_heads=model.key_heads,
        norm=first,
        hidden_norm=norm,
        query=_linear(
            coded["query"], FRACTION, fractions.query, first.base, score_sharpness(model, layer)
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
    weights: NDArray[Any] = coded.integers.astype(np.int8, copy=False)
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


def _with_gains(norm: RowNorm, gammas: Floats) -> RowNorm:
    """Return a norm that multiplies by gammas, unless all are one."""
    gammas = np.asarray(gammas, np.float64)
    if (gammas == 1).all():
        return norm
    entries = gamma_entries(gammas)
    return dataclasses.replace(norm, gains=Gains(entries.scale, gammas < 0, entries.shift))


def _words(config: Config, table: Floats, fraction: int) -> Words:
    """Return an embedding's rows as words."""
    parts = []
    for first in range(0, len(table), ROWS):
        part = np.asarray(table[first : first + ROWS], np.float64)
        fixed = np.rint(np.ldexp(part, fraction)).astype(np.int64)
        words = to_words(config.array, fixed, probability_base(config.array))
        parts.append((words.mantissas.astype(np.int16), words.exponents.astype(np.uint8)))
    mantissas, exponents = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Words(mantissas, exponents)


def _chunk(inputs: int, unit: int, parts: int, norm: RowNorm) -> int:
    """Return how many of so many inputs are multiplied at once: all, or units for some parts."""
    return -(-inputs // (parts * unit)) * unit if norm.deferred else inputs


def _padded(inputs: int, rows: int) -> int:
    return -(-inputs // rows) * rows
