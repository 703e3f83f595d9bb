"""Layouts of external memory: activation pages and scale entries."""

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config

__all__ = ["pack_pages", "pack_scales", "page_bytes", "unpack_pages"]


def page_bytes(config: Config, words: int) -> int:
    """Return the bytes of a run of ``words`` activation words, exponent words included."""
    return (words + -(-words // config.array.rows)) * config.array.word_bytes


def pack_pages(
    config: Config, mantissas: NDArray[np.int64], exponents: NDArray[np.int64]
) -> bytes:
    """Return one run of activation words, ``mantissas`` (n, R) and ``exponents`` (n,), in pages."""
    rows, word_bytes = config.array.rows, config.array.word_bytes
    kind = np.dtype("<i1") if config.array.mantissa_bytes == 1 else np.dtype("<i2")
    out = bytearray()
    for first in range(0, len(exponents), rows):
        page = exponents[first : first + rows].astype(np.uint8).tobytes()
        out += page.ljust(word_bytes, b"\0")
        out += mantissas[first : first + rows].astype(kind).tobytes()
    return bytes(out)


def unpack_pages(
    config: Config, raw: bytes, words: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return mantissas (words, R) and exponents (words,) of one run."""
    rows, word_bytes = config.array.rows, config.array.word_bytes
    kind = np.dtype("<i1") if config.array.mantissa_bytes == 1 else np.dtype("<i2")
    mantissas = np.zeros((words, rows), np.int64)
    exponents = np.zeros(words, np.int64)
    offset = 0
    for first in range(0, words, rows):
        count = min(rows, words - first)
        exponents[first : first + count] = np.frombuffer(raw, np.uint8, count, offset)
        offset += word_bytes
        page = np.frombuffer(raw, kind, count * rows, offset)
        mantissas[first : first + count] = page.reshape(count, rows)
        offset += count * word_bytes
    return mantissas, exponents


def pack_scales(
    scale: NDArray[np.integer], shift: NDArray[np.integer], bias: NDArray[np.integer]
) -> bytes:
    """Return the 8-byte entries of channels: uint16 scale, uint8 shift, a zero, int32 bias."""
    entries = np.zeros(len(scale), np.dtype("<u2, u1, u1, <i4"))
    entries["f0"], entries["f1"], entries["f3"] = scale, shift, bias
    return entries.tobytes()
