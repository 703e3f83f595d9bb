"""Golden model of the choice of a token: the largest logit, or one by chance.

By chance it is the Gumbel-max trick: the largest of logit / T + noise has the probabilities of
softmax at temperature T. All is counted in powers of two, so that the noise is ``-log2(t)`` for t
of exponential distribution. It depends on seed, position and token alone.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.gumbel_tables import LOGARITHM, RARE
from systolith_hw.tables import FRACTION, SEGMENT_BITS, Table

from .function import interpolate
from .requantizer import requantize
from .row import Factor

__all__ = ["choose", "choose_among", "gumbel", "keep_largest", "largest", "mix"]

Integers = NDArray[np.int64]

ROUNDS = 16
WORD = 0xFFFF_FFFF
WORD_BITS = 32


def largest(logits: ArrayLike) -> int:
    """Return the number of the largest logit, of equal ones the first."""
    return int(np.argmax(logits))


def choose(
    logits: ArrayLike, sharpness: Factor, candidates: int, *, seed: int, position: int
) -> int:
    """Return the number of a logit, chosen by chance.

    Parameters
    ----------
    logits : (V,) integers of 32 bits
        In nats, LSB 2**-16.
    sharpness : Factor
        log2(e) / T.
    candidates : int
        So many of the largest logits take part, 1 to 64; of equal ones the first.
    seed, position : int
        32 bits each.
    """
    logits = np.asarray(logits, np.int64)
    values, numbers = keep_largest(logits, np.arange(len(logits)), candidates)
    return choose_among(values, numbers, sharpness, seed=seed, position=position)


def keep_largest(
    values: Integers, numbers: Integers, count: int
) -> tuple[Integers, Integers]:
    """Return the ``count`` largest values and their numbers, which rise.

    Of equal values those of the smaller numbers are kept.
    """
    kept = np.lexsort((numbers, -values))[:count]
    kept = kept[np.argsort(numbers[kept], kind="stable")]
    return values[kept], numbers[kept]


def choose_among(
    values: Integers, numbers: Integers, sharpness: Factor, *, seed: int, position: int
) -> int:
    """Return one of the numbers, which rise; arguments as in :func:`choose`."""
    scores, _ = requantize(values, sharpness.scale, sharpness.shift, 0)
    return int(numbers[np.argmax(scores + gumbel(mix(seed, position, numbers)))])


def mix(seed: int, position: int, index: ArrayLike) -> NDArray[np.int64]:
    """Return 32 random bits for each index: rounds of addition, rotation and exclusive or.

    The round is that of the cipher Speck64 (Beaulieu et al., "The SIMON and SPECK lightweight
    block ciphers", 2015), its key a rotated seed.
    """
    y = np.asarray(index, np.int64)
    x = np.full_like(y, position)
    for number in range(ROUNDS):
        x = (_rotate_left(x, WORD_BITS - 8) + y & WORD) ^ _rotate_left(seed, number) ^ number
        y = _rotate_left(y, 3) ^ x
    return x


def gumbel(bits: ArrayLike) -> NDArray[np.int64]:
    """Return ``-log2(-log2(1 - w))``, w being ``(bits + 1/2) / 2**32``, in LSB 2**-16.

    The error against float64 is at most 2**-14.
    Below one half, ``-log2(1 - w)`` is w times a smooth function; above, ``1 - w`` has a logarithm
    of at least 1, whose logarithm is taken again.

    Parameters
    ----------
    bits : integers of 32 bits
    """
    odd = 2 * np.asarray(bits, np.int64) + 1  # w is odd / 2**33
    half = 1 << WORD_BITS
    small = odd < half
    w = np.where(small, odd, 1)
    rare = _place(RARE, w) + _logarithm(w) - (WORD_BITS + 1 << FRACTION)
    t = (WORD_BITS + 1 << FRACTION) - _logarithm(np.where(small, 1, 2 * half - odd))
    often = _logarithm(t) - (FRACTION << FRACTION)
    return -np.where(small, rare, often)


def _rotate_left(x: NDArray[np.int64] | int, bits: int) -> NDArray[np.int64]:
    bits %= WORD_BITS
    return np.asarray((x << bits | x >> WORD_BITS - bits) & WORD)


def _logarithm(value: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return log2 of integers below 2**33, LSB 2**-16."""
    length = np.frexp(value.astype(np.float64))[1].astype(np.int64) - 1  # exact below 2**53
    fraction = value - (1 << length) << WORD_BITS - length
    return (length << FRACTION) + _place(LOGARITHM, fraction)


def _place(table: Table, place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the table's line at ``place / 2**32`` of its range."""
    rest_bits = WORD_BITS - SEGMENT_BITS
    return interpolate(table, place >> rest_bits, place & (1 << rest_bits) - 1, rest_bits)
