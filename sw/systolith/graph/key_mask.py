"""Masks that hide tokens of a batch, as those behind the end of a sentence."""

import numpy as np
from numpy.typing import NDArray

from .graph import GraphError

__all__ = ["visible_tokens"]

FAR = -1000.0
"""A mask's number below this hides a token."""


def visible_tokens(mask: NDArray | None, batch: int, tokens: int) -> NDArray[np.bool]:
    """Return which tokens (batch, tokens) are seen, of a mask that is added to scores.

    Raises
    ------
    GraphError
        If that is not all that the mask says: then it is of no encoder.
    """
    if mask is None:
        return np.ones((batch, tokens), np.bool)
    shape = (1,) * (4 - mask.ndim) + mask.shape
    full = np.broadcast_to(mask.reshape(shape), (batch, shape[1], shape[2], tokens))
    if (full != full[:, :1, :1]).any():
        raise GraphError(
            "the mask differs between queries or heads, as that of a language model does; in an "
            "encoder all tokens see the same ones"
        )
    row = full[:, 0, 0]
    other = (row != 0) & ~(row < FAR)
    if other.any():
        raise GraphError(
            f"the mask adds {row[other][0]:.3g} to scores; it may only hide tokens, with numbers "
            f"below {FAR:g}, and add 0 to the others"
        )
    return row == 0
