"""Where the layers of a language model lie in external memory to be streamed to many tokens.

Tables of each layer: those of attention, then those of the feed-forward. Slots lie in the order in
which they are consumed.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder import DecoderLayer, RotaryRows
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.encoder import Linear

from .decoder_image import gates_of
from .layout import MemoryMap, pad
from .matrix_image import pack_angles, pack_gains, pack_panels, pack_scale_table
from .prefill_plan import PrefillPlan

__all__ = ["PrefillLayout"]

Integers = NDArray[np.int64]


class PrefillLayout:
    """External memory of some layers.

    Parameters
    ----------
    plan : PrefillPlan

    Attributes
    ----------
    map : MemoryMap
        "residual" of all tokens, which the layers replace; "angles" of their positions; "tables"
        and "slots" of all layers.
    """

    def __init__(self, plan: PrefillPlan) -> None:
        self.plan = plan
        self.config = plan.config
        self.map = MemoryMap(plan.config, f"a prompt of {plan.tokens} tokens")
        self.map.add("residual", plan.tokens * self.residual_bytes)
        self.map.add("angles", plan.tokens * self.angle_bytes)
        self.map.add("tables", plan.shape.layers * self.table_bytes)
        self.map.add("slots", plan.shape.layers * plan.layer_slots * self.slot_bytes)

    def address(self, region: str) -> int:
        """Return where a region begins."""
        return self.map.regions[region].address

    # -- sizes -------------------------------------------------------------------------------

    @property
    def residual_bytes(self) -> int:
        """Bytes from one token's residual to the next one's."""
        return self._pad(self.plan.residual_stride * self.config.wide_word_bytes)

    @property
    def angle_bytes(self) -> int:
        """Bytes from one position's angles to the next one's."""
        return self._pad(self.plan.angle_words * self.config.wide_word_bytes)

    @property
    def hidden_table(self) -> int:
        """Byte of a layer's tables where those of the feed-forward begin."""
        return self._pad(self.plan.attention_tables["end"] * self.config.scale_word_bytes)

    @property
    def table_bytes(self) -> int:
        """Bytes from one layer's tables to the next one's."""
        words = self.plan.hidden_tables["end"] - self.plan.attention_tables["end"]
        return self.hidden_table + self._pad(words * self.config.scale_word_bytes)

    @property
    def slot_bytes(self) -> int:
        """Bytes from slot to slot."""
        return self._pad(self.plan.slot * self.config.array.rows * self.config.array.columns)

    # -- contents ----------------------------------------------------------------------------

    def parts(self, model: DecoderModel, residual: Integers) -> dict[int, bytes]:
        """Return by address the model's layers, and the residual, fixed point (T, N), before."""
        assert model.rotary is not None
        cosine, sine = (table[: self.plan.tokens] for table in model.rotary)
        return {
            self.address("residual"): self._rows(residual, self.residual_bytes),
            self.address("angles"): self._angles((cosine, sine)),
            self.address("tables"): b"".join(map(self._tables, model.layers)),
            self.address("slots"): b"".join(map(self._slots, model.layers)),
        }

    def unpack(self, memory: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the residual, fixed point (T, N), that external memory holds."""
        region = self.map.regions["residual"]
        rows = memory[region.address : region.end].view("<i4").reshape(self.plan.tokens, -1)
        return rows[:, : self.plan.shape.features]

    def _angles(self, rotary: RotaryRows) -> bytes:
        return pack_angles(rotary, self.config.vector.lanes, self.angle_bytes)

    def _tables(self, layer: DecoderLayer) -> bytes:
        """Return the tables of a layer."""
        matrices = (layer.key, layer.query, layer.value, layer.output)
        first, second = (pack_gains(norm.gains, self.plan.shape.features)
                         for norm in (layer.norm, layer.hidden_norm))  # fmt: skip
        attention = first + b"".join(map(pack_scale_table, matrices))
        rest = (*gates_of(layer), layer.down)
        hidden = second + b"".join(map(pack_scale_table, rest))
        image = attention.ljust(self.hidden_table, b"\0") + hidden
        return image.ljust(self.table_bytes, b"\0")

    def _slots(self, layer: DecoderLayer) -> bytes:
        """Return the slots of a layer."""
        return b"".join(map(self._slot, self._weights(layer)))

    def _slot(self, weights: Integers) -> bytes:
        panels = pack_panels(weights, self.config.array.columns)
        return panels.ljust(self.slot_bytes, b"\0")

    def _weights(self, layer: DecoderLayer) -> Iterator[Integers]:
        """Yield what each slot holds, in their order."""
        shape, (gate, up) = self.plan.shape, gates_of(layer)
        for group in range(shape.key_heads):
            heads = range(group * shape.share, (group + 1) * shape.share)
            yield from self._outputs(layer.key, [group])
            yield from self._outputs(layer.query, heads)
            yield from self._outputs(layer.value, [group])
            yield from self._inputs(layer.output, heads)
        for chunk in range(self.plan.chunks):
            yield from self._outputs(gate, [chunk])
            yield from self._outputs(up, [chunk])
            yield from self._inputs(layer.down, [chunk])

    def _outputs(self, linear: Linear, heads: Sequence[int]) -> Iterator[Integers]:
        """Yield the two halves of the channels of heads."""
        for head in heads:
            yield from np.split(linear.weights[:, self._head(head)], 2, axis=1)

    def _inputs(self, linear: Linear, heads: Sequence[int]) -> Iterator[Integers]:
        """Yield the two halves of the features, for the inputs of heads."""
        for head in heads:
            yield from np.split(linear.weights[self._head(head)], 2, axis=1)

    def _head(self, number: int) -> slice:
        size = self.plan.shape.head
        return slice(number * size, (number + 1) * size)

    def _rows(self, table: Integers, size: int) -> bytes:
        """Return rows of 32 bits, ``size`` bytes apart."""
        rows = np.zeros((len(table), size // 4), "<i4")
        rows[:, : table.shape[1]] = table
        return rows.tobytes()

    def _pad(self, size: int) -> int:
        return pad(size, self.config.bus.data_bytes)
