"""How matrices, norms and angles lie in external memory."""

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import NEGATIVE_SHIFT
from systolith_sim.dma.pages import pack_scales
from systolith_sim.transformer.decoder import RotaryRows
from systolith_sim.transformer.encoder import Linear, Norm
from systolith_sim.transformer.row_norm import UNIT, Gains

__all__ = [
    "pack_angles", "pack_gains", "pack_norm", "pack_panels", "pack_scale_table", "pack_units",
]  # fmt: skip

ENTRY_BYTES = 8


def pack_panels(weights: NDArray[np.integer], columns: int) -> bytes:
    """Return weights (K, N) as tiles: C columns after C columns, row after row."""
    panels = weights.reshape(len(weights), -1, columns).transpose(1, 0, 2)
    return panels.astype(np.int8).tobytes()


def pack_scale_table(
    linear: Linear, channels: slice = slice(None), count: int | None = None, *, bias: bool = True
) -> bytes:
    """Return scale entries of some channels, zeros up to ``count``."""
    scale, shift, offset = (part[channels] for part in (linear.scale, linear.shift, linear.bias))
    entries = pack_scales(scale, shift, offset if bias else np.zeros_like(offset))
    return entries.ljust(ENTRY_BYTES * count, b"\0") if count else entries


def pack_norm(norm: Norm) -> bytes:
    """Return gammas and betas as scale entries."""
    return _pack_gammas(norm, norm.bias)


def pack_gains(gains: Gains | None, count: int) -> bytes:
    """Return a norm's scale entries, zeros up to ``count``; without gains those of one."""
    if gains is None:
        return pack_units(count)
    return _pack_gammas(gains, np.zeros_like(gains.scale)).ljust(ENTRY_BYTES * count, b"\0")


def _pack_gammas(gammas: Norm | Gains, betas: NDArray[np.int64]) -> bytes:
    shift = np.where(gammas.negative, gammas.shift | NEGATIVE_SHIFT, gammas.shift)
    return pack_scales(gammas.scale, shift, betas)


def pack_units(count: int) -> bytes:
    """Return so many scale entries with which NORM multiplies by one."""
    entries = (np.full(count, value) for value in (UNIT.scale, UNIT.shift, 0))
    return pack_scales(*entries)


def pack_angles(rotary: RotaryRows, lanes: int, size: int) -> bytes:
    """Return cosines and sines (S, D), a wide word of each in turn, ``size`` bytes for a token."""
    count = len(rotary[0])
    words = np.stack([table.reshape(count, -1, lanes) for table in rotary], axis=2)
    rows = words.reshape(count, -1).astype("<i4")
    return np.pad(rows, ((0, 0), (0, size // rows.itemsize - rows.shape[1]))).tobytes()
