"""The contents of external memory of a language model that is streamed."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_BITS
from systolith_sim.dma.pages import pack_scales
from systolith_sim.transformer.decoder import DecoderLayer
from systolith_sim.transformer.decoder_model import DecoderModel

from .coded_linear import loaded
from .decoder_image import DecoderImage
from .decoder_streamed_layout import StreamedLayout

__all__ = ["StreamedImage"]

Integers = NDArray[np.int64]


class StreamedImage(DecoderImage):
    """Packs a model that is streamed.

    Parameters
    ----------
    layout : StreamedLayout
    model : DecoderModel
    """

    def __init__(self, layout: StreamedLayout, model: DecoderModel) -> None:
        super().__init__(layout, model)
        self.streamed = layout

    def parts(self) -> dict[int, bytes]:
        """Return by address all but the programs, keys and values, and what the host writes."""
        layout, model, rows = self.streamed, self.model, self.array.rows
        first = layout.address("layers")
        assert model.rotary is not None
        return {
            layout.address("embedding"): self._embedding(),
            layout.address("angles"): self._angles(model.rotary),
            **{first + number * layout.layer_bytes: self._record(layer)
               for number, layer in enumerate(model.layers)},
            layout.address("last norm"): self._norm(model.norm),
            layout.address("head"): b"".join(self._head()),
            layout.address("identity"): self._identity(),
            layout.address("units"): self._units(rows * self.plan.head_words),
        }  # fmt: skip

    def _record(self, layer: DecoderLayer) -> bytes:
        """Return a layer's record, up to its keys."""
        layout, plan = self.streamed, self.plan
        tables, matrices = self._tables(layer), layout.ring_matrices
        size = layout.config.scale_word_bytes
        record = b""
        for first, words, place in layout.table_parts:
            record = record.ljust(place, b"\0") + tables[first * size : (first + words) * size]
        projection, output, expansion, down = self._weights(layer)
        # Keys and values come first, so that they are stored while queries are computed.
        channels = plan.head_tiles * self.array.columns
        groups = plan.shape.key_heads * channels
        key, query, value = np.split(
            projection, [groups, groups + plan.shape.heads * channels], axis=1
        )
        contents = np.concatenate([key, value, query], axis=1), output, expansion, down
        for (name, matrix), weights in zip(matrices.items(), contents, strict=True):
            record = record.ljust(layout.places[name], b"\0") + matrix.pack(weights)
        return record

    def _head(self) -> Iterator[bytes]:
        """Yield the chunks of the head."""
        layout, columns = self.streamed, self.array.columns
        weights, table = loaded(self.model.head), self._table(self.model.head, 0)
        channel = 0
        for chunk in layout.chunks:
            end = channel + chunk.panels * columns
            entries = table[8 * channel : 8 * end]
            yield entries.ljust(layout.chunk_tables(chunk), b"\0")
            yield chunk.pack(weights[:, channel:end])
            channel = end

    def _identity(self) -> bytes:
        """Return R / C tiles that leave the values of an activation word as they are."""
        rows, columns = self.array.rows, self.array.columns
        panels = np.eye(rows, dtype=np.int8).reshape(rows, -1, columns)
        return panels.transpose(1, 0, 2).tobytes()

    def _units(self, channels: int) -> bytes:
        """Return scale entries of one."""
        one = np.full(channels, 1 << SCALE_BITS - 1), np.full(channels, SCALE_BITS - 1)
        return pack_scales(*one, np.zeros(channels, np.int64))
