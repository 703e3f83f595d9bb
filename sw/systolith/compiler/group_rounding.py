"""Choose codes and their groups' parameters so that a matrix's results change least.

First as GPTQ does (:mod:`systolith.compiler.rounding`), inputs of the largest mean square first.
Then group by group: parameters by least squares, codes one input after another, each to the best
that is left to it while all others stay; the error of results never grows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.isa import LoadKind
from systolith_sim.dma.codec import GROUP

from .recipes import recipes
from .rounding import DAMPING
from .weight_codecs import Codec, Parameters

__all__ = ["CodedWeights", "GroupRounder", "by_columns", "round_groups"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SWEEPS = 4

COLUMNS = 1024
"""Rounded together: what a group of inputs has of them stays near the processor."""

KINDS = (LoadKind.OPERAND_ROWS, LoadKind.OPERAND_EXPONENT, LoadKind.OPERAND_AFFINE)
"""Of weights whose groups have so many parameters."""


@dataclass(frozen=True)
class CodedWeights:
    """A matrix in a codec.

    Parameters
    ----------
    codes : (groups * 32, N) int8
        Of the inputs, and of those that fill up the last group.
    parameters : tuple of (groups, N) int16
    step : (N,) floats
        Real value of an expanded weight of 1.
    integers : (K, N) int8
        The expanded weights.
    """

    codes: NDArray[Any]
    parameters: tuple[NDArray[Any], ...]
    step: Floats
    integers: NDArray[Any]

    @classmethod
    def compact(
        cls, codes: NDArray[Any], parameters: tuple[NDArray[Any], ...], step: Floats,
        integers: NDArray[Any],
    ) -> "CodedWeights":  # fmt: skip
        """Return numbers of any type in the smallest that holds them all."""
        small = integers.astype(np.int8)
        same = not parameters and len(codes) == len(integers)  # and so they lie there once
        return cls(
            small if same else codes.astype(np.int8),
            tuple(parameter.astype(np.int16) for parameter in parameters), step, small,
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: "Sequence[CodedWeights]") -> "CodedWeights":
        """Return a matrix of the columns of several ones."""
        if len(parts) == 1:
            return parts[0]
        integers = np.concatenate([part.integers for part in parts], axis=1)
        same = all(part.codes is part.integers for part in parts)
        return cls(
            integers if same else np.concatenate([part.codes for part in parts], axis=1),
            tuple(np.concatenate(one, axis=1)
                  for one in zip(*(part.parameters for part in parts), strict=True)),
            np.concatenate([part.step for part in parts]), integers,
        )  # fmt: skip

    def split(self, widths: Sequence[int]) -> "list[CodedWeights]":
        """Return matrices of so many columns each."""
        parts, end = [], 0
        for width in widths:
            chosen = slice(end, end := end + width)
            integers = self.integers[:, chosen].copy()
            same = self.codes is self.integers
            parts.append(CodedWeights(
                integers if same else self.codes[:, chosen].copy(),
                tuple(parameter[:, chosen].copy() for parameter in self.parameters),
                self.step[chosen], integers,
            ))  # fmt: skip
        return parts

    def values(self) -> NDArray[np.float32]:
        """Return the real weights (K, N) that these stand for."""
        return (self.integers * self.step).astype(np.float32)

    @property
    def kind(self) -> LoadKind:
        """How LOAD brings them to the chip."""
        return KINDS[len(self.parameters)]

    def recipes(self) -> NDArray[np.int32]:
        """Return code and parameters of each weight (K, N)."""
        return recipes(self.codes[: len(self.integers)], self.parameters)


def round_groups(
    weights: ArrayLike, gram: ArrayLike, codec: Codec, *, damping: float = DAMPING,
    sweeps: int = SWEEPS,
) -> CodedWeights:  # fmt: skip
    """Return real weights (K, N) in a codec.

    Parameters
    ----------
    weights : (K, N) floats
    gram : (K, K) floats
        ``x.T @ x`` of inputs (rows, K); need not be regular.
    codec : Codec
    damping : float
        Of the mean square of an input, added to each one's.
    sweeps : int
        How often all groups are gone through again.
    """
    rounder = GroupRounder(gram, damping)
    return CodedWeights.joined([
        rounder.round(part, codec, sweeps=sweeps) for part in by_columns(np.asarray(weights))
    ])  # fmt: skip


def by_columns(weights: NDArray[np.floating]) -> Iterator[Floats]:
    """Yield some columns of a matrix (K, N) after the other."""
    for first in range(0, max(weights.shape[1], 1), COLUMNS):
        yield weights[:, first : first + COLUMNS].astype(np.float64)


class GroupRounder:
    """Rounds matrices that take the same inputs.

    Parameters
    ----------
    gram : (K, K) floats
        ``x.T @ x`` of inputs (rows, K); need not be regular.
    damping : float
        Of the mean square of an input, added to each one's.
    """

    def __init__(self, gram: ArrayLike, damping: float = DAMPING) -> None:
        self._hessian = _damped(gram, damping, -len(np.asarray(gram)) % GROUP)
        self._order = np.argsort(-np.diag(self._hessian), kind="stable")
        # hessian = lower.T @ lower: the loss is a sum of squares, and each has one input more.
        backwards = self._order[::-1]
        lower = np.linalg.cholesky(self._hessian[np.ix_(backwards, backwards)]).T[::-1, ::-1]
        self._lower = lower / np.diag(lower)[:, None]

    def round(self, weights: Floats, codec: Codec, *, sweeps: int = SWEEPS) -> CodedWeights:
        """Return real weights (K, N) in a codec."""
        step = np.abs(weights).max(axis=0) / codec.largest
        fill = len(self._hessian) - len(weights)
        target = np.pad(weights / np.where(step > 0, step, 1.0), ((0, fill), (0, 0)))
        groups = target.reshape(-1, GROUP, target.shape[1])
        parameters = codec.begin(groups, np.diag(self._hessian).reshape(-1, GROUP))
        codes = self._compensate(target, codec, parameters)
        if sweeps:
            codes, parameters = self._refine(target, codes, codec, parameters, sweeps)
        integers = codec.expand(codes, _spread(parameters))[: len(weights)]
        return CodedWeights.compact(codes, parameters, step, integers)

    def _compensate(self, target: Floats, codec: Codec, parameters: Parameters) -> Integers:
        """Return codes whose errors are made up for by inputs that come later."""
        order, lower = self._order, self._lower
        codes = np.empty(target.shape, np.int64)
        errors = np.empty_like(target)  # in order
        for first in range(0, len(target), GROUP):
            end = first + GROUP
            wanted = target[order[first:end]]
            rest = wanted + lower[first:end, :first] @ errors[:first]
            for place in range(first, end):
                own = tuple(parameter[order[place] // GROUP] for parameter in parameters)
                here = place - first
                now = rest[here] + lower[place, first:place] @ errors[first:place]
                codes[order[place]] = code = codec.nearest(now, own)
                errors[place] = wanted[here] - codec.expand(code, own)
        return codes

    def _refine(
        self, target: Floats, codes: Integers, codec: Codec, parameters: Parameters, sweeps: int
    ) -> tuple[Integers, Parameters]:
        """Return better codes and parameters, group by group.

        Few codes change: most of the work is to see that the others are the best there are.
        """
        codes = codes.copy()
        parameters = tuple(parameter.copy() for parameter in parameters)
        hessian = self._hessian
        values = codec.expand(codes, _spread(parameters)).astype(np.float64)
        slope = (values - target).T @ hessian  # (N, K): of the loss, by each weight
        for _ in range(sweeps):
            for number, first in enumerate(range(0, len(codes), GROUP)):
                part = slice(first, first + GROUP)
                inside = hessian[part, part]
                before, local = values[part], np.ascontiguousarray(slope[:, part].T)
                own = tuple(parameter[number] for parameter in parameters)
                now, moved = before, np.zeros((), bool)
                if parameters:
                    own = _refit(codes[part], own, inside, local, before, codec)
                    now = codec.expand(codes[part], own).astype(np.float64)
                    local += inside @ (now - before)
                    moved = (now != before).any(axis=0)
                wanted = codec.nearest(now - local / np.diag(inside)[:, None], own)
                columns = np.flatnonzero((wanted != codes[part]).any(axis=0) | moved)
                for parameter, new in zip(parameters, own, strict=True):
                    parameter[number] = new
                if len(columns):
                    chosen, better = _descend(
                        now[:, columns], local[:, columns], inside, codec,
                        tuple(parameter[columns] for parameter in own),
                    )  # fmt: skip
                    slope[columns] += (better - before[:, columns]).T @ hessian[part]
                    codes[part, columns], values[part, columns] = chosen, better
        return codes, parameters


def _descend(
    now: Floats, slope: Floats, inside: Floats, codec: Codec, own: Parameters
) -> tuple[Integers, Floats]:
    """Return codes and values of a group, each chosen anew while all others stay."""
    codes = np.empty(now.shape, np.int64)
    values, change = np.empty_like(now), np.empty_like(now)
    for index in range(GROUP):
        local = slope[index] + inside[index, :index] @ change[:index]
        codes[index] = code = codec.nearest(now[index] - local / inside[index, index], own)
        values[index] = codec.expand(code, own)
        change[index] = values[index] - now[index]
    return codes, values


def _damped(gram: ArrayLike, damping: float, fill: int) -> Floats:
    gram = np.array(gram, np.float64)
    mean = np.trace(gram) / len(gram)
    gram[np.diag_indices(len(gram))] += damping * mean if mean > 0 else 1.0
    gram = np.pad(gram, (0, fill))
    gram[np.diag_indices(len(gram))] += np.pad(np.zeros(len(gram) - fill), (0, fill),
                                               constant_values=1e-3 * (mean or 1.0))  # fmt: skip
    return gram


def _spread(parameters: Parameters) -> Parameters:
    """Return the parameters of each input."""
    return tuple(np.repeat(parameter, GROUP, axis=0) for parameter in parameters)


def _refit(
    codes: Integers, own: Parameters, inside: Floats, slope: Floats, before: Floats, codec: Codec
) -> Parameters:
    """Return the parameters of one group with which the loss is least."""
    best = np.zeros(codes.shape[1])
    for choice in codec.candidates(codes, own, inside, slope):
        change = codec.expand(codes, choice) - before
        loss = np.einsum("kn,kn->n", change, inside @ change / 2 + slope)
        better = loss < best
        best = np.where(better, loss, best)
        own = tuple(np.where(better, new, old) for new, old in zip(choice, own, strict=True))
    return own
