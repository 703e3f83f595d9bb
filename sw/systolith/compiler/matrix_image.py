"""How matrices and norms lie in external memory: panels of weights, and scale entries."""

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import NEGATIVE_SHIFT
from systolith_sim.dma.pages import pack_scales
from systolith_sim.transformer.encoder import Linear, Norm

__all__ = ["pack_norm", "pack_panels", "pack_scale_table"]

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
    shift = np.where(norm.negative, norm.shift | NEGATIVE_SHIFT, norm.shift)
    return pack_scales(norm.scale, shift, norm.bias)
