"""Weight codecs: what a group of weights may become, and the parameters to begin with.

A *group* is :data:`systolith_sim.dma.codec.GROUP` consecutive inputs of one output channel.
Weights here are in units of the channel's step, so that an expanded int8 is the weight itself.
"""

import abc

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import WEIGHT_BITS
from systolith_hw.isa import LoadKind
from systolith_sim.dma.codec import (
    CODES,
    GROUP,
    SLOPE_FRACTION,
    expand_affine,
    expand_exponent,
)

from .quantize import WEIGHT_LIMIT

__all__ = ["CODECS", "RAW", "AffineCodec", "Codec", "ExponentCodec", "Parameters", "RawCodec"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Parameters = tuple[Integers, ...]
"""Each (groups, N)."""


class Codec(abc.ABC):
    """How codes and a group's parameters stand for int8 weights."""

    kind: LoadKind
    """How LOAD brings them to the chip."""

    bits: float
    """Bits of a weight, its share of the parameters included, that of scale entries not."""

    largest: int
    """Magnitude that a channel's largest weight is scaled to."""

    extremes: tuple[int, int] = (0, CODES - 1)
    """The codes of the smallest and the largest weight."""

    @abc.abstractmethod
    def begin(self, weights: Floats, importance: Floats) -> Parameters:
        """Return parameters for groups (G, 32, N) of which each input has an importance (G, 32)."""

    @abc.abstractmethod
    def nearest(self, weights: Floats, parameters: Parameters) -> Integers:
        """Return the codes that come closest; arguments broadcast."""

    @abc.abstractmethod
    def expand(self, codes: Integers, parameters: Parameters) -> Integers:
        """Return int8 weights; arguments broadcast."""

    def candidates(
        self, codes: Integers, parameters: Parameters, hessian: Floats, slope: Floats
    ) -> list[Parameters]:
        """Return parameters of one group, each (N,), that may do better with its codes (32, N).

        The loss is ``d.T @ hessian @ d / 2 + slope.T @ d``, d being the change of the weights.
        """
        return []

    def error(self, weights: Floats, parameters: Parameters, importance: Floats) -> Floats:
        """Return the weighted square error (G, N) of groups (G, 32, N) rounded to nearest."""
        wide = tuple(parameter[:, None] for parameter in parameters)
        rounded = self.expand(self.nearest(weights, wide), wide)
        return np.einsum("gkn,gk->gn", (rounded - weights) ** 2, importance)


class RawCodec(Codec):
    """The weights themselves."""

    kind = LoadKind.OPERAND_ROWS
    bits = WEIGHT_BITS
    largest = WEIGHT_LIMIT
    extremes = (-WEIGHT_LIMIT, WEIGHT_LIMIT)

    def begin(self, weights: Floats, importance: Floats) -> Parameters:
        """Return none."""
        return ()

    def nearest(self, weights: Floats, parameters: Parameters) -> Integers:
        """Return the integers that come closest."""
        return _rounded(weights, -WEIGHT_LIMIT, WEIGHT_LIMIT)

    def expand(self, codes: Integers, parameters: Parameters) -> Integers:
        """Return the codes."""
        return codes


class AffineCodec(Codec):
    """``slope * code / 16 + offset``: 8 bits each of slope and offset."""

    kind = LoadKind.OPERAND_AFFINE
    bits = 4 + 16 / GROUP
    largest = WEIGHT_LIMIT

    def begin(self, weights: Floats, importance: Floats) -> Parameters:
        """Return the best of ranges that shrink towards their middle."""
        low, high = weights.min(axis=1), weights.max(axis=1)
        middle, half = (low + high) / 2, (high - low) / 2
        return _best(
            self, weights, importance,
            [self._round(2 * half * share / (CODES - 1), middle - half * share)
             for share in np.linspace(0.5, 1.0, 21)],
        )  # fmt: skip

    def nearest(self, weights: Floats, parameters: Parameters) -> Integers:
        """Return the codes that come closest."""
        slope, offset = parameters
        step = np.maximum(slope, 1) / (1 << SLOPE_FRACTION)
        return _rounded((weights - offset) / step, 0, CODES - 1)

    def expand(self, codes: Integers, parameters: Parameters) -> Integers:
        """Return int8 weights."""
        return expand_affine(codes, *parameters)

    def candidates(
        self, codes: Integers, parameters: Parameters, hessian: Floats, slope: Floats
    ) -> list[Parameters]:
        """Return the line of least squares."""
        ones = hessian.sum(axis=0)
        by_code = hessian @ codes  # (32, N)
        a = np.einsum("kn,kn->n", codes, by_code)
        b = ones @ codes
        c = ones.sum()
        first, second = -np.einsum("kn,kn->n", codes, slope), -slope.sum(axis=0)
        determinant = a * c - b * b
        safe = np.where(determinant > 1e-9 * a * c, determinant, np.inf)
        rise, lift = (c * first - b * second) / safe, (a * second - b * first) / safe
        step = parameters[0] / (1 << SLOPE_FRACTION)
        slopes, offsets = self._round(step + rise, parameters[1] + lift)
        return [(slopes, offsets), (slopes, parameters[1]), (parameters[0], offsets)]

    def _round(self, step: Floats, offset: Floats) -> Parameters:
        slope = np.clip(np.rint(step * (1 << SLOPE_FRACTION)), 0, 255)
        return slope.astype(np.int64), np.clip(np.rint(offset), -128, 127).astype(np.int64)


class ExponentCodec(Codec):
    """``(code - 8) << exponent``: 4 bits of exponent."""

    kind = LoadKind.OPERAND_EXPONENT
    bits = 4 + 4 / GROUP
    largest = 120

    def begin(self, weights: Floats, importance: Floats) -> Parameters:
        """Return the best exponents."""
        shape = weights.shape[0], weights.shape[2]
        return _best(
            self, weights, importance,
            [(np.full(shape, exponent, np.int64),) for exponent in range(5)],
        )  # fmt: skip

    def nearest(self, weights: Floats, parameters: Parameters) -> Integers:
        """Return the codes that come closest."""
        codes = np.rint(np.ldexp(weights, -parameters[0])) + CODES // 2
        return np.clip(codes, 0, CODES - 1).astype(np.int64)

    def expand(self, codes: Integers, parameters: Parameters) -> Integers:
        """Return int8 weights."""
        return expand_exponent(codes, *parameters)


def _rounded(values: Floats, least: int, most: int) -> Integers:
    """Return the nearest integers from ``least`` to ``most``; twice as fast as ``clip``."""
    nearest = np.rint(values)
    return np.minimum(np.maximum(nearest, least), most).astype(np.int64)


def _best(
    codec: Codec, weights: Floats, importance: Floats, choices: list[Parameters]
) -> Parameters:
    """Return for each group the parameters whose error is least."""
    errors = np.stack([codec.error(weights, choice, importance) for choice in choices])
    best = errors.argmin(axis=0)[None]
    return tuple(
        np.take_along_axis(np.stack(parameter), best, axis=0)[0]
        for parameter in zip(*choices, strict=True)
    )


RAW = RawCodec()

CODECS: dict[str, Codec] = {
    "int8": RAW, "int4": AffineCodec(), "int4-exponent": ExponentCodec(),
}  # fmt: skip
"""Every codec by its name."""
