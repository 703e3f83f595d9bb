"""RMSNorm, which matrices behind it take the gamma of, or which multiplies by it itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_BITS, ArrayConfig
from systolith_hw.tables import CENTRED_FRACTION, FRACTION

from ..vector.row import Factor, normal_factor, row_sums, scale_row
from .encoder import Words, to_words

__all__ = ["UNIT", "Gains", "RowNorm"]

UNIT = Factor(1 << SCALE_BITS - 1, SCALE_BITS - 1 - (FRACTION - CENTRED_FRACTION))
"""The scale entry with which NORM multiplies by one."""


@dataclass(frozen=True)
class Gains:
    """The gammas of a norm as scale entries: ``scale * 2**-shift``, negated where ``negative``.

    Parameters
    ----------
    scale, shift : (N,) int64
    negative : (N,) bool
    """

    scale: NDArray[np.int64]
    negative: NDArray[np.bool]
    shift: NDArray[np.int64]


ONES = Gains(np.array(UNIT.scale), np.array(False), np.array(UNIT.shift))


@dataclass(frozen=True)
class RowNorm:
    """Divide each row by the root of its mean square.

    Parameters
    ----------
    features : int
        N.
    inverse : Factor
        1 / N.
    epsilon : int
        Its LSB is that of squares of what is normalised.
    base : int
        Fixed-point bits below exponent 0 of the words that come out, and are measured.
    deferred : bool
        The words are those of the row itself, and 1 / root goes with them: matrices multiply their
        scale entries by it.
    gains : Gains or None
        What the row is multiplied by; None are all one. A deferred norm has none.
    """

    features: int
    inverse: Factor
    epsilon: int
    base: int
    deferred: bool
    gains: Gains | None = None

    def __call__(self, array: ArrayConfig, z: NDArray[np.int64]) -> Words:
        """Return words of fixed point (S, N)."""
        words = to_words(array, z, self.base)
        factors = [
            normal_factor(
                moments, self.inverse, base=self.base, epsilon=self.epsilon, centre=False
            )[1]
            for moments in row_sums(words.mantissas, words.exponents)
        ]  # fmt: skip
        if self.deferred:
            scale, shift = (np.array([[getattr(one, name)] for one in factors])
                            for name in ("scale", "shift"))  # fmt: skip
            return Words(words.mantissas, words.exponents, (scale, shift))
        gains = self.gains or ONES
        rows = [
            scale_row(row, 0, factor, scale=gains.scale, negative=gains.negative,
                      shift=gains.shift, bias=0)
            for row, factor in zip(z, factors, strict=True)
        ]  # fmt: skip
        return to_words(array, np.stack(rows), self.base)
