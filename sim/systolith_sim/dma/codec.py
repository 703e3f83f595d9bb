"""Golden models of weight codecs: what 4-bit codes become on their way into operand memory."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.code_pages import CodePage
from systolith_hw.config import CODE_BITS, CODE_GROUP, WEIGHT_BITS
from systolith_hw.isa import LoadKind

__all__ = [
    "CODES",
    "CODE_BITS",
    "GROUP",
    "LARGEST_EXPONENT",
    "SLOPE_FRACTION",
    "expand_affine",
    "expand_exponent",
    "expand_run",
    "pack_run",
]

CODES = 1 << CODE_BITS

GROUP = CODE_GROUP
"""So many consecutive inputs of an output channel share their parameters."""

SLOPE_FRACTION = 4
"""An affine group's slope, unsigned and 8 bits, has LSB 2**-4."""

LARGEST_EXPONENT = 4

LIMIT = (1 << WEIGHT_BITS - 1) - 1


def expand_affine(codes: ArrayLike, slope: ArrayLike, offset: ArrayLike) -> NDArray[np.int64]:
    """Return ``clip8(floor((slope * code + 8) / 16) + offset)``.

    Parameters
    ----------
    codes : integers, 0..15
    slope : integers, 0..255
    offset : integers, -128..127
    """
    product = np.asarray(slope, np.int64) * np.asarray(codes, np.int64)
    rounded = product + (1 << SLOPE_FRACTION - 1) >> SLOPE_FRACTION
    return np.clip(rounded + np.asarray(offset, np.int64), -LIMIT - 1, LIMIT)


def expand_exponent(codes: ArrayLike, exponent: ArrayLike) -> NDArray[np.int64]:
    """Return ``(code - 8) << min(exponent, 4)``.

    Parameters
    ----------
    codes : integers, 0..15
    exponent : integers, 0..15
    """
    power = np.minimum(np.asarray(exponent, np.int64), LARGEST_EXPONENT)
    return np.asarray(codes, np.int64) - CODES // 2 << power


def expand_run(page: CodePage, raw: bytes, elements: int) -> NDArray[np.int64]:
    """Return the weights (rows, C) of a run of so many row writes."""
    config = page.config
    columns, rows = config.array.columns, elements * config.write_rows
    weights = np.zeros((rows, columns), np.int64)
    header = page.header * page.element_bytes
    offset = 0
    for first in range(0, rows, page.rows):
        count = min(page.rows, rows - first)
        parameters = np.frombuffer(raw, np.uint8, header, offset)
        codes = _nibbles(np.frombuffer(raw, np.uint8, count * columns // 2, offset + header))
        offset += header + len(codes) // 2
        grouped = np.repeat(_parameters(page, parameters), GROUP, axis=0)[:count]
        expand = EXPAND[page.kind]
        weights[first : first + count] = expand(
            codes.reshape(count, columns), *grouped.transpose(1, 0, 2)
        )
    return weights


def pack_run(
    page: CodePage, codes: NDArray[np.integer], parameters: tuple[NDArray[np.integer], ...]
) -> bytes:
    """Return a run, what :func:`expand_run` expands.

    Parameters
    ----------
    codes : (rows, C) integers
        Rows of whole row writes.
    parameters : tuple of (groups, C) integers
        Slopes and offsets, or exponents, of every group that has a row.
    """
    out = bytearray()
    stacked = np.stack(parameters, axis=1)  # (groups, parameters, C)
    for first in range(0, len(codes), page.rows):
        group = first // GROUP
        part = stacked[group : group + page.groups]
        part = np.pad(part, ((0, page.groups - len(part)), (0, 0), (0, 0)))
        if page.kind == LoadKind.OPERAND_AFFINE:
            header = part.astype(np.int8).tobytes()
        else:
            header = _bytes(part.reshape(-1))
        out += header + _bytes(codes[first : first + page.rows].reshape(-1))
    return bytes(out)


def _parameters(page: CodePage, header: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (groups, parameters, C) of a page."""
    columns = page.config.array.columns
    if page.kind == LoadKind.OPERAND_EXPONENT:
        return _nibbles(header).reshape(page.groups, 1, columns)
    found = header.astype(np.int64).reshape(page.groups, 2, columns)
    found[:, 1] = found[:, 1].astype(np.int8)
    return found


def _nibbles(raw: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return two codes of each byte, the low one first."""
    return np.stack([raw & CODES - 1, raw >> CODE_BITS], axis=-1).reshape(-1).astype(np.int64)


def _bytes(nibbles: NDArray[np.integer]) -> bytes:
    """Return the bytes of an even number of codes."""
    pairs = nibbles.astype(np.uint8).reshape(-1, 2)
    return (pairs[:, 0] | pairs[:, 1] << CODE_BITS).astype(np.uint8).tobytes()


EXPAND = {
    LoadKind.OPERAND_AFFINE: expand_affine,
    LoadKind.OPERAND_EXPONENT: expand_exponent,
}
