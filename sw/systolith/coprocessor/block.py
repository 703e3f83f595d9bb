"""Matrices of a model that a core multiplies by the same words, in the place of golden ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.encoder import Linear, Words
from systolith_sim.vector.requantizer import normalize_significand

__all__ = ["Block", "DeviceLinear", "Multiply", "join"]

Integers = NDArray[np.int64]

Multiply = Callable[[Integers, Integers], Integers]
"""From mantissas (steps, R) and exponents (steps,) of a token to sums (N,), which requantise to
what the exact ones do."""


class Block:
    """Matrices side by side, in whole tiles.

    Parameters
    ----------
    weights : (K, N) int8

    Attributes
    ----------
    multiply : Multiply
        Who does it; whoever has a core sets it.
    products : int
        Of a token and the weights, so far.
    wrong : int
        Those of them in which a sum was not that of the golden model.
    """

    multiply: Multiply

    def __init__(self, weights: NDArray[Any]) -> None:
        self.weights = weights
        self.products = self.wrong = 0
        self._words: Words | None = None
        self._sums: Integers = np.zeros((0, 0), np.int64)

    def times(self, x: Words) -> Integers:
        """Return sums (S, N) of words of (S, K), which are not multiplied again for each matrix."""
        if x is not self._words:
            rows = zip(x.mantissas, x.exponents, strict=True)
            self._sums = np.stack([self.multiply(*row) for row in rows])
            self._words = x
            self._compare(x)
        return self._sums

    def _compare(self, x: Words) -> None:
        """Hold what came against the exact sums, in all that a requantiser sees of them."""
        wrong = np.zeros(len(self._sums), bool)
        for mine, golden in zip(
            normalize_significand(self._sums), normalize_significand(x.times(self.weights)),
            strict=True,
        ):  # fmt: skip
            wrong |= (mine != golden).any(axis=-1)
        self.products += len(wrong)
        self.wrong += int(wrong.sum())


@dataclass(frozen=True)
class DeviceLinear(Linear):
    """A matrix whose products come from blocks; channels' scales and biases are golden.

    Parameters
    ----------
    blocks : dict of Block
        By the first input.
    columns : slice
        Of the blocks, that are the matrix's.
    """

    blocks: Mapping[int, Block]
    columns: slice

    def products(self, x: Words, inputs: slice = slice(None)) -> Integers:
        """Return sums (S, N) of words of (S, K) times those ``inputs`` of the weights."""
        return self.blocks[inputs.start or 0].times(x)[:, self.columns]


def join(
    linears: list[Linear], columns: int, chunk: int | None = None
) -> tuple[list[Block], list[DeviceLinear]]:
    """Return blocks for matrices of the same inputs, and the matrices that use them.

    Parameters
    ----------
    linears : list of Linear
    columns : int
        Channels of a tile.
    chunk : int
        Inputs that are multiplied on their own; by default all.
    """
    places, first = [], 0
    for one in linears:
        places.append(slice(first, first + one.weights.shape[1]))
        first += -(-one.weights.shape[1] // columns) * columns
    inputs = len(linears[0].weights)
    weights = np.zeros((inputs, first), np.int8)
    for one, place in zip(linears, places, strict=True):
        weights[:, place] = one.weights
    step = chunk or inputs
    blocks = {begin: Block(weights[begin : begin + step]) for begin in range(0, inputs, step)}
    return list(blocks.values()), [
        DeviceLinear(one.weights, one.scale, one.shift, one.bias, blocks, place)
        for one, place in zip(linears, places, strict=True)
    ]
