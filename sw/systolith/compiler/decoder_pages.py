"""Keys and values of positions, in the pages in which a streamed language model finds them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import VALUE_WINDOW, WEIGHT_BITS
from systolith_sim.dma.pages import pack_pages
from systolith_sim.transformer.decoder_reference import KeyValueCache
from systolith_sim.transformer.encoder import VALUE_BASE
from systolith_sim.vector.normalizer import normalize

from .decoder_streamed_layout import StreamedLayout

__all__ = ["cache_pages"]


def cache_pages(
    layout: StreamedLayout, base: int, cache: KeyValueCache, positions: range
) -> Iterator[tuple[int, bytes]]:
    """Yield address and contents of every page of some positions, of all layers and heads.

    Parameters
    ----------
    base : int
        Fixed-point bits below exponent 0 of keys.
    cache : KeyValueCache
        Fixed point of the golden model.
    """
    array = layout.config.array
    windows = {"keys": array.window, "values": min(array.window, VALUE_WINDOW)}
    first, shape = layout.address("layers"), layout.plan.shape
    none = np.zeros((0, shape.key_heads, shape.head), np.int64)
    for number in range(shape.layers):
        fixed = dict(zip(windows, cache.append(number, none, none), strict=True))
        for name, window in windows.items():
            mantissas, exponents, _, _ = normalize(
                fixed[name][positions], base if name == "keys" else VALUE_BASE,
                mantissa_bits=WEIGHT_BITS, window=window,
            )  # fmt: skip
            place = first + number * layout.layer_bytes + layout.places[name]
            for head in range(shape.key_heads):
                pages = _pages(layout, mantissas[:, head], exponents[:, head])
                for position, page in zip(positions, pages, strict=True):
                    yield (
                        place + head * layout.head_bytes + position * layout.page_stride, page
                    )  # fmt: skip


def _pages(
    layout: StreamedLayout, mantissas: NDArray[np.int64], exponents: NDArray[np.int64]
) -> Iterator[bytes]:
    """Yield a page for each of some tokens, of mantissas (T, D) and exponents (T,)."""
    words, rows = layout.plan.head_words, layout.config.array.rows
    padded = np.pad(mantissas, ((0, 0), (0, words * rows - mantissas.shape[1])))
    for row, exponent in zip(padded.reshape(-1, words, rows), exponents, strict=True):
        yield pack_pages(layout.config, row, np.full(words, exponent))
