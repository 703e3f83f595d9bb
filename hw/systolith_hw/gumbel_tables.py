"""Tables of the two logarithms behind the noise of sampling, as plain data.

Lines as in :mod:`systolith_hw.tables`: :data:`SEGMENTS` of them over each range, LSB 2**-16.
"""

import math

from .tables import FRACTION, Table, tabulate

__all__ = ["LOGARITHM", "RARE"]


def _rare(w: float) -> float:
    """Return ``log2(-log2(1 - w) / w)``, which is smooth where w is small."""
    return math.log2(-math.log1p(-w) / math.log(2) / w) if w > 0 else -math.log2(math.log(2))


LOGARITHM: Table = tabulate(lambda f: math.log2(1 + f), 1, 2.0**-FRACTION)
"""log2(1 + f) for the fraction f of a number, 0 to 1."""

RARE: Table = tabulate(_rare, 0.5, 2.0**-FRACTION)
"""log2(-log2(1 - w) / w) for w of 0 to 1/2."""
