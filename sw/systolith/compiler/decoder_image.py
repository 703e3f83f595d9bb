"""The contents of external memory that a language model's programs read."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith_hw.code_pages import PARAMETER_BITS, CodePage
from systolith_sim.dma.pages import pack_pages
from systolith_sim.transformer.decoder import DecoderLayer, GatedHidden, RotaryRows
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.encoder import Linear, Words
from systolith_sim.transformer.row_norm import RowNorm

from .coded_linear import loaded
from .decoder_layout import DecoderLayout, Matrix
from .layout import power_of_two
from .matrix_image import pack_angles, pack_gains, pack_panels, pack_scale_table, pack_units
from .recipes import NOTHING, pack_recipes

__all__ = ["DecoderImage", "gates_of"]

Integers = NDArray[Any]

WORD = 4

ROWS = 1024
"""Of an embedding that are packed at once."""


class DecoderImage:
    """Packs a model.

    Parameters
    ----------
    layout : DecoderLayout
    model : DecoderModel
    """

    def __init__(self, layout: DecoderLayout, model: DecoderModel) -> None:
        self.layout = layout
        self.plan = layout.plan
        self.array = layout.config.array
        self.model = model
        coded = layout.plan.shape.kind in PARAMETER_BITS
        self.page = CodePage(layout.config, layout.plan.shape.kind) if coded else None
        self.filler = NOTHING if coded else 0

    def parts(self) -> dict[int, bytes]:
        """Return by address all but the programs, and what the host writes for each text."""
        layout, plan, model = self.layout, self.plan, self.model
        address = layout.address
        parts = {} if model.rotary is None else {address("angles"): self._angles(model.rotary)}
        if plan.shape.tabled:
            parts[address("openings")] = self._openings()
        return parts | {
            address("embedding"): self._embedding(),
            address("matrices"): b"".join(self._matrices(layer) for layer in model.layers),
            address("tables"): b"".join(
                self._tables(layer).ljust(layout.table_bytes, b"\0") for layer in model.layers
            ),
            address("head"): self._pack(layout.head, loaded(model.head)),
            address("head tables"):
                self._all_units() + self._table(model.head, plan.vocabulary_tiles),
        }  # fmt: skip

    # -- rows that tokens take ---------------------------------------------------------------

    def _embedding(self) -> bytes:
        """Return the rows of the embedding as fixed point, or their sums with each position's."""
        model, layout, plan = self.model, self.layout, self.plan
        size, width = plan.shape.vocabulary, layout.row_bytes // WORD

        def rows(first: int, position: int | None) -> bytes:
            tokens = range(first, min(first + ROWS, size))
            places = () if position is None else [position] * len(tokens)
            return self._widen(model.residual(tokens, places), width).astype("<i4").tobytes()

        if model.positions is None:
            return b"".join(rows(first, None) for first in range(0, size, ROWS))
        return b"".join(
            b"".join(rows(first, position) for first in range(0, size, ROWS)).ljust(
                power_of_two(size) * layout.row_bytes, b"\0")
            for position in range(plan.tokens)
        )  # fmt: skip

    def _openings(self) -> bytes:
        """Return the words that the first norm makes of each token, for each learned position."""
        model, plan, tokens = self.model, self.plan, range(self.plan.shape.vocabulary)
        places = range(plan.tokens) if plan.shape.learned else range(1)
        return b"".join(
            self._pack_words(model.layers[0].norm(
                self.array, model.residual(tokens, [place] * len(tokens))
            )).ljust(self.layout.position_bytes, b"\0")
            for place in places
        )  # fmt: skip

    def _pack_words(self, words: Words) -> bytes:
        """Return tokens' words as one run, with zeros behind each token's."""
        behind = self.plan.opening_tables.word_stride - self.plan.steps
        mantissas = np.pad(words.mantissas, ((0, 0), (0, behind), (0, 0)))
        exponents = np.pad(words.exponents, ((0, 0), (0, behind)))
        return pack_pages(
            self.layout.config, mantissas.reshape(-1, self.array.rows), exponents.reshape(-1)
        )

    def _angles(self, rotary: RotaryRows) -> bytes:
        """Return each position's cosines and sines, with zeros behind a head's."""
        plan = self.plan
        width = plan.head_tiles * self.array.columns
        cosine, sine = (self._widen(table[: plan.tokens], width) for table in rotary)
        return pack_angles((cosine, sine), plan.config.vector.lanes, self.layout.angle_bytes)

    # -- matrices ----------------------------------------------------------------------------

    def _matrices(self, layer: DecoderLayer) -> bytes:
        """Return all of a layer."""
        contents = zip(self.layout.matrices, self._weights(layer), strict=True)
        return b"".join(self._pack(matrix, weights) for matrix, weights in contents)

    def _weights(self, layer: DecoderLayer) -> Iterator[Integers]:
        """Yield the weights of a layer's matrices in their order, or their recipes."""
        plan, rows = self.plan, self.array.rows
        heads = [self._by_head(loaded(linear), self.filler)
                 for linear in (layer.key, layer.query, layer.value)]  # fmt: skip
        yield np.concatenate(heads, axis=1)
        head_rows = plan.head_words * rows
        output = loaded(layer.output).reshape(plan.shape.heads, -1, plan.shape.features)
        output = np.pad(output, ((0, 0), (0, head_rows - output.shape[1]), (0, 0)),
                        constant_values=self.filler)  # fmt: skip
        counts = [count * plan.shape.share * head_rows for count in plan.head_groups]
        yield from _parts(output.reshape(-1, plan.shape.features), counts)
        width = plan.hidden_tiles * self.array.columns
        gates = [self._widen(loaded(linear), width, self.filler) for linear in gates_of(layer)]
        yield np.concatenate(gates, axis=1)
        yield from _parts(loaded(layer.down), [count * rows for count in plan.hidden_groups])

    def _by_head(self, table: Integers, filler: int = 0) -> Integers:
        """Return channels (..., heads * D) with zeros, or ``filler``, behind each head."""
        heads = table.reshape(*table.shape[:-1], -1, self.plan.shape.head)
        heads = self._widen(heads, self.plan.head_tiles * self.array.columns, filler)
        return heads.reshape(*table.shape[:-1], -1)

    def _pack(self, matrix: Matrix, weights: Integers) -> bytes:
        """Return weights as panels, with zeros or nothing behind rows and columns."""
        wanted = matrix.steps * self.array.rows, matrix.tiles * self.array.columns
        padding = [(0, size - have) for size, have in zip(wanted, weights.shape, strict=True)]
        whole = np.pad(weights, padding, constant_values=self.filler)
        if self.page is None:
            return pack_panels(whole, self.array.columns).ljust(matrix.size, b"\0")
        panels = whole.reshape(len(whole), -1, self.array.columns).transpose(1, 0, 2)
        runs = pack_recipes(self.page, panels)
        return np.pad(runs, ((0, 0), (0, matrix.stride - runs.shape[1]))).tobytes()

    # -- scale entries -----------------------------------------------------------------------

    def _tables(self, layer: DecoderLayer) -> bytes:
        """Return the entries of a layer, as ``DecoderPlan.tables`` has them."""
        plan = self.plan
        parts = [self._norm(layer.norm)]
        for linear in (layer.key, layer.query, layer.value):
            heads = linear.weights.shape[1] // plan.shape.head
            entries = (self._by_head(part) for part in (linear.scale, linear.shift, linear.bias))
            wide = Linear(linear.weights, *entries)
            parts.append(self._table(wide, heads * plan.head_tiles))
        parts.append(self._table(layer.output, plan.tiles))
        parts.append(self._norm(layer.hidden_norm))
        parts += [self._table(linear, plan.hidden_tiles) for linear in gates_of(layer)]
        parts.append(self._table(layer.down, plan.tiles))
        return b"".join(parts)

    def _table(self, linear: Linear, tiles: int) -> bytes:
        return pack_scale_table(linear, count=tiles * self.array.columns)

    def _all_units(self) -> bytes:
        """Return the entries with which all norms multiply by one."""
        return pack_units(self.plan.unit_entries * self.layout.config.vector.lanes)

    def _norm(self, norm: RowNorm) -> bytes:
        """Return a norm's own entries, which lie in front of those of the matrices behind it."""
        return pack_gains(norm.gains, self.plan.norm_entries * self.layout.config.vector.lanes)

    @staticmethod
    def _widen(table: Integers, width: int, filler: int = 0) -> Integers:
        """Return a table with zeros, or ``filler``, behind its last axis."""
        return np.pad(table, [(0, 0)] * (table.ndim - 1) + [(0, width - table.shape[-1])],
                      constant_values=filler)  # fmt: skip


def gates_of(layer: DecoderLayer) -> tuple[Linear, ...]:
    """Return the matrices in front of the hidden values."""
    hidden = layer.hidden
    return (hidden.gate, hidden.up) if isinstance(hidden, GatedHidden) else (hidden.up,)


def _parts(weights: Integers, counts: list[int]) -> list[Integers]:
    """Return so many rows after the other."""
    return np.split(weights, np.cumsum(counts)[:-1])
