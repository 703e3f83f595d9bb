"""Golden model of the array with its column accumulators."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["accumulate"]


def accumulate(
    mantissas: ArrayLike, exponents: ArrayLike, weights: ArrayLike
) -> NDArray[np.int64]:
    """Return the exact dot products of activation words with operand tiles.

    Parameters
    ----------
    mantissas : (..., steps, R) integers
        Activation mantissas.
    exponents : (..., steps) integers
        Block exponents.
    weights : (steps, R, C) integers
        Operand tiles of one output tile.

    Returns
    -------
    (..., C) int64
        ``sum_k (sum_i mantissa[k, i] * weight[k, i, c]) << exponent[k]``.
    """
    # At most 52 bits, so float64 is exact whatever the order, and BLAS may do the work.
    scaled = np.ldexp(np.asarray(mantissas, np.float64), np.asarray(exponents)[..., None])
    matrix = np.asarray(weights, np.float64)
    flat = scaled.reshape(*scaled.shape[:-2], -1) @ matrix.reshape(-1, matrix.shape[-1])
    return flat.astype(np.int64)
