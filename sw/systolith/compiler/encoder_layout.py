"""Where an encoder lies in external memory, and what the host writes there.

Of each layer, one like the other: the scales of Q, K and V; those of everything else; and the slots
in the order in which they are consumed.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_BITS
from systolith_sim.dma.pages import pack_pages, pack_scales, page_bytes
from systolith_sim.transformer.encoder import EncoderLayer, Linear, Words
from systolith_sim.transformer.model import EncoderModel

from .encoder_plan import EncoderPlan
from .encoder_tables import InputTables
from .layout import MemoryMap, Region, pad, power_of_two
from .matrix_image import pack_norm, pack_panels, pack_scale_table

__all__ = ["EncoderLayout"]

UNITY_SHIFT = SCALE_BITS - 1
"""With which a scale of 2**15 changes nothing."""

Integers = NDArray[np.int64]


class EncoderLayout:
    """External memory of an encoder.

    Parameters
    ----------
    plan : EncoderPlan

    Attributes
    ----------
    tables : InputTables
        What the host writes for each run.
    regions : dict of Region
        "tables", "identity", "unity", "norm", "words", "positions", "layers" and "tokens": each
        token's residual, in the end the result, its context if that is spilt, and its words, the
        layer's input, if they are streamed.
    """

    def __init__(self, plan: EncoderPlan) -> None:
        self.plan = plan
        self.config = plan.config
        self.tables = InputTables(plan)
        self.map = MemoryMap(plan.config, f"an encoder for {plan.tokens} tokens")
        shape, scale = plan.shape, self.config.scale_word_bytes
        self.map.add("tables", self.tables.size)
        self.map.add("identity", plan.unit**2)
        self.map.add("unity", self._pad(plan.unit // self.config.vector.lanes * scale))
        self.map.add("norm", self._pad(plan.wide_stride * scale))
        self.map.add("words", shape.vocabulary * self.row_bytes)
        self.map.add("positions", shape.positions * self.row_bytes)
        self.map.add("layers", shape.layers * self.layer_bytes)
        self.map.add("tokens", plan.tokens * self.token_bytes)

    @property
    def regions(self) -> dict[str, Region]:
        """Every region by name."""
        return self.map.regions

    # -- sizes -------------------------------------------------------------------------------

    @cached_property
    def row_bytes(self) -> int:
        """Bytes from one embedding to the next, a power of two."""
        return power_of_two(self.words_bytes)

    @property
    def slot_bytes(self) -> int:
        """Bytes from slot to slot."""
        array = self.config.array
        return self._pad(self.plan.slot * array.rows * array.columns)

    @property
    def head_slots(self) -> int:
        """Slots of Q, K and V."""
        return 2 * self.plan.shape.pairs * 3

    @property
    def block_slots(self) -> int:
        """Slots that every block of tokens consumes."""
        return self.plan.shape.heads + 2 * self.plan.shape.chunks

    @property
    def block_table(self) -> int:
        """Byte of a layer where the scales of everything but Q, K and V begin."""
        return self._pad(self.plan.head_tables * self.config.scale_word_bytes)

    @property
    def slots(self) -> int:
        """Byte of a layer where its slots begin."""
        size = self.plan.block_tables * self.config.scale_word_bytes
        return self.block_table + self._pad(size)

    @property
    def early_slots(self) -> int:
        """Slots that each block begins with: as many as the ring has, of the output matrix."""
        return min(self.plan.slots, self.plan.shape.heads)

    @property
    def layer_bytes(self) -> int:
        """Bytes from layer to layer."""
        return self.slots + (self.head_slots + self.block_slots) * self.slot_bytes

    @property
    def residual_bytes(self) -> int:
        """Bytes of a token's residual; its context is behind."""
        return self._pad(self.plan.wide_stride * self.config.wide_word_bytes)

    @property
    def run_bytes(self) -> int:
        """Bytes of a token's context of one head."""
        return self._pad(page_bytes(self.config, self.plan.head_steps))

    @property
    def token_bytes(self) -> int:
        """Bytes from token to token."""
        return self.words + self.plan.streamed * self.words_bytes

    @property
    def words(self) -> int:
        """Byte of a token where its words begin."""
        context = 2 * self.plan.shape.pairs * self.run_bytes
        return self.residual_bytes + self.plan.spill * context

    @property
    def words_bytes(self) -> int:
        """Bytes of a token's words."""
        return self._pad(page_bytes(self.config, self.plan.steps))

    # -- contents ----------------------------------------------------------------------------

    def parts(self, model: EncoderModel) -> dict[int, bytes]:
        """Return by address all that runs have in common."""
        regions, plan = self.regions, self.plan
        # The embeddings' words times the identity have the LSB 2**base.
        shift = max(0, UNITY_SHIFT - model.base)
        identity = np.eye(plan.unit, dtype=np.int64) << model.base + shift - UNITY_SHIFT
        ones = np.ones(plan.unit, np.int64)
        parts = {
            regions["identity"].address: self._panels(identity),
            regions["unity"].address: pack_scales(ones << UNITY_SHIFT, shift * ones, 0 * ones),
            regions["norm"].address: pack_norm(model.norm) if model.norm else b"",
            regions["words"].address: self.rows(model.words),
            regions["positions"].address: self.rows(model.positions),
        }
        for number, layer in enumerate(model.layers):
            address = regions["layers"].address + number * self.layer_bytes
            parts[address] = self._layer(layer)
        return parts

    def _layer(self, layer: EncoderLayer) -> bytes:
        head, heads = self.plan.shape.head, 2 * self.plan.shape.pairs
        image = bytearray(self.slots)
        tables = b"".join(
            pack_scale_table(linear, slice(first, first + head), head)
            for first in range(0, heads * head, head)
            for linear in (layer.key, layer.value, layer.query)
        )
        image[: len(tables)] = tables
        tables = b"".join([
            pack_scale_table(layer.output), pack_scale_table(layer.output, bias=False),
            pack_norm(layer.attention_norm),
            pack_scale_table(layer.down), pack_scale_table(layer.down, bias=False),
            pack_norm(layer.output_norm),
            pack_scale_table(layer.up, slice(None), self.plan.shape.chunks * head),
        ])  # fmt: skip
        image[self.block_table : self.block_table + len(tables)] = tables
        slots = (self._panels(panel).ljust(self.slot_bytes, b"\0") for panel in self._order(layer))
        return bytes(image) + b"".join(slots)

    def _order(self, layer: EncoderLayer) -> list[Integers]:
        """Return the contents of a layer's slots in the order of their consumption."""
        shape = self.plan.shape
        panels = [
            self._columns(linear, head)
            for head in range(2 * shape.pairs)
            for linear in (layer.key, layer.value, layer.query)
        ]
        panels += [self._inputs(layer.output, head) for head in range(shape.heads)]
        for chunk in range(shape.chunks):
            panels += [self._columns(layer.up, chunk), self._inputs(layer.down, chunk)]
        return panels

    def _columns(self, linear: Linear, number: int) -> Integers:
        """Return the weights (D, head) of some output channels, zeros behind the last."""
        shape = self.plan.shape
        part = linear.weights[:, number * shape.head : (number + 1) * shape.head]
        return np.pad(part, ((0, 0), (0, shape.head - part.shape[1])))

    def _inputs(self, linear: Linear, number: int) -> Integers:
        """Return the weights (head, D) of some inputs, zeros behind the last."""
        shape = self.plan.shape
        part = linear.weights[number * shape.head : (number + 1) * shape.head]
        return np.pad(part, ((0, shape.head - len(part)), (0, 0)))

    def _panels(self, weights: Integers) -> bytes:
        return pack_panels(weights, self.config.array.columns)

    def rows(self, words: Words) -> bytes:
        """Return embeddings, a run of pages each."""
        runs = (
            pack_pages(self.config, mantissas, exponents).ljust(self.row_bytes, b"\0")
            for mantissas, exponents in zip(words.mantissas, words.exponents, strict=True)
        )
        return b"".join(runs)

    def _pad(self, size: int) -> int:
        return pad(size, self.config.bus.data_bytes)
