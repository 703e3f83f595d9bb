"""Golden model of rotary positions: pairs of features turned by an angle of their token."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .requantizer import round_half_even

__all__ = ["ROTARY_FRACTION", "rotary_table", "rotate"]

ROTARY_FRACTION = 16
"""Cosines and sines have LSB 2**-16."""


def rotary_table(
    positions: ArrayLike, features: int, base: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return cosines and sines (positions, features), one for each feature.

    Features 2i and 2i + 1 turn together; the sine of 2i is negative, as :func:`rotate` needs it.
    """
    angles = np.asarray(positions)[:, None] * base ** (-np.arange(0, features, 2) / features)
    cosine = np.repeat(np.cos(angles), 2, axis=-1)
    sine = np.stack([-np.sin(angles), np.sin(angles)], axis=-1).reshape(cosine.shape)
    unit = 1 << ROTARY_FRACTION
    return np.rint(cosine * unit).astype(np.int64), np.rint(sine * unit).astype(np.int64)


def rotate(z: ArrayLike, cosine: ArrayLike, sine: ArrayLike) -> NDArray[np.int64]:
    """Return ``RNE((z[i] * cosine[i] + z[i ^ 1] * sine[i]) / 2**16)``.

    Two passes through one multiplier, rounded once. The error against float64 is at most half an
    LSB for that, and ``2**-17 * (|z[i]| + |z[i ^ 1]|)`` for the table.

    Parameters
    ----------
    z : (..., D) integers of 18 bits
        D is even.
    cosine, sine : (..., D) integers of 18 bits
        Rows of :func:`rotary_table`.
    """
    z = np.asarray(z, np.int64)
    other = z.reshape(*z.shape[:-1], -1, 2)[..., ::-1].reshape(z.shape)
    turned = z * np.asarray(cosine, np.int64) + other * np.asarray(sine, np.int64)
    return round_half_even(turned, ROTARY_FRACTION)
