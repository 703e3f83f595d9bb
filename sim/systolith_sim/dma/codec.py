"""Golden models of weight codecs: what 4-bit codes become on their way into operand memory."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.code_pages import CodePage
from systolith_hw.config import CODE_BITS, CODE_GROUP, WEIGHT_BITS
from systolith_hw.isa import LoadKind

__all__ = [
    "CODES",
    "CODE_BITS",
    "EXPAND",
    "GROUP",
    "LARGEST_EXPONENT",
    "SLOPE_FRACTION",
    "expand_affine",
    "expand_exponent",
    "expand_run",
    "pack_runs",
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
    size, header = page.run_bytes(page.elements), page.header * page.element_bytes
    used = np.frombuffer(raw, np.uint8, page.run_bytes(elements))
    pages = np.pad(used, (0, -len(used) % size)).reshape(-1, size)
    codes = _nibbles(pages[:, header:]).reshape(-1, columns)
    parameters = _parameters(page, pages[:, :header])
    wide = (np.repeat(parameter, GROUP, axis=0) for parameter in parameters)
    return EXPAND[page.kind](codes, *wide)[:rows]


def pack_runs(
    page: CodePage, codes: NDArray[np.integer], parameters: Sequence[NDArray[np.integer]]
) -> NDArray[np.uint8]:
    """Return runs (N, bytes), each of which :func:`expand_run` expands.

    Parameters
    ----------
    codes : (N, rows, C) integers
        Rows of whole row writes.
    parameters : sequence of (N, groups, C) integers
        Slopes and offsets, or exponents, of every group that has a row.
    """
    runs, rows, columns = codes.shape
    pages = -(-rows // page.rows)
    fill = ((0, 0), (0, pages * page.rows - rows), (0, 0))
    lines = _bytes(np.pad(codes, fill).reshape(runs, pages, -1))
    missing = pages * page.groups - parameters[0].shape[1]
    stacked = np.stack(
        [np.pad(part, ((0, 0), (0, missing), (0, 0))) for part in parameters], axis=2
    ).reshape(runs, pages, -1)  # group, parameter, column
    affine = page.kind == LoadKind.OPERAND_AFFINE
    headers = stacked.astype(np.uint8) if affine else _bytes(stacked)
    whole = np.concatenate([headers, lines], axis=2).reshape(runs, -1)
    return whole[:, : page.run_bytes(rows // page.config.write_rows)]


def _parameters(page: CodePage, headers: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """Return each parameter (groups, C) of pages."""
    columns = page.config.array.columns
    if page.kind == LoadKind.OPERAND_EXPONENT:
        return [_nibbles(headers).reshape(-1, columns)]
    slopes, offsets = headers.reshape(-1, 2, columns).transpose(1, 0, 2)
    return [slopes.astype(np.int64), offsets.astype(np.int8).astype(np.int64)]


def _nibbles(raw: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return two codes of each byte, the low one first."""
    return np.stack([raw & CODES - 1, raw >> CODE_BITS], axis=-1).reshape(-1).astype(np.int64)


def _bytes(nibbles: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the bytes of an even number of codes in the last axis."""
    pairs = nibbles.astype(np.uint8)
    return (pairs[..., 0::2] | pairs[..., 1::2] << CODE_BITS).astype(np.uint8)


EXPAND: dict[LoadKind, Callable[..., NDArray[np.int64]]] = {
    LoadKind.OPERAND_AFFINE: expand_affine,
    LoadKind.OPERAND_EXPONENT: expand_exponent,
}
"""What codes and their parameters, which are broadcast, become."""
