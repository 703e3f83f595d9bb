"""Choose codes and their groups' parameters so that a matrix's results change least.

First as GPTQ does (:mod:`systolith.compiler.rounding`), inputs of the largest mean square first.
Then group by group: parameters by least squares, codes one input after another, each to the best
that is left to it while all others stay; the error of results never grows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.isa import LoadKind
from systolith_sim.dma.codec import GROUP

from .recipes import recipes
from .rounding import DAMPING
from .weight_codecs import Codec, Parameters

__all__ = ["CodedWeights", "round_groups"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SWEEPS = 4

KINDS = (LoadKind.OPERAND_ROWS, LoadKind.OPERAND_EXPONENT, LoadKind.OPERAND_AFFINE)
"""Of weights whose groups have so many parameters."""


@dataclass(frozen=True)
class CodedWeights:
    """A matrix in a codec.

    Parameters
    ----------
    codes : (groups * 32, N) int64
        Of the inputs, and of those that fill up the last group.
    parameters : tuple of (groups, N) int64
    step : (N,) floats
        Real value of an expanded weight of 1.
    integers : (K, N) int64
        The expanded weights.
    """

    codes: Integers
    parameters: Parameters
    step: Floats
    integers: Integers

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
    weights = np.asarray(weights, np.float64)
    step = np.abs(weights).max(axis=0) / codec.largest
    inputs = len(weights)
    fill = -inputs % GROUP
    target = np.pad(weights / np.where(step > 0, step, 1.0), ((0, fill), (0, 0)))
    hessian = _damped(gram, damping, fill)
    groups = target.reshape(-1, GROUP, target.shape[1])
    parameters = codec.begin(groups, np.diag(hessian).reshape(-1, GROUP))
    codes = _compensate(target, hessian, codec, parameters)
    if sweeps:
        codes, parameters = _refine(target, codes, hessian, codec, parameters, sweeps)
    integers = codec.expand(codes, _spread(parameters))[:inputs]
    return CodedWeights(codes, parameters, step, integers)


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


def _compensate(
    target: Floats, hessian: Floats, codec: Codec, parameters: Parameters
) -> Integers:
    """Return codes whose errors are made up for by inputs that come later."""
    order = np.argsort(-np.diag(hessian), kind="stable")
    rest = target[order]
    upper = np.linalg.cholesky(np.linalg.inv(hessian[np.ix_(order, order)])).T
    codes = np.zeros(target.shape, np.int64)
    for first in range(0, len(rest), GROUP):
        end = min(first + GROUP, len(rest))
        errors = np.empty((end - first, rest.shape[1]))
        for place in range(first, end):
            own = tuple(parameter[order[place] // GROUP] for parameter in parameters)
            code = codec.nearest(rest[place], own)
            codes[order[place]] = code
            error = (rest[place] - codec.expand(code, own)) / upper[place, place]
            rest[place + 1 : end] -= np.outer(upper[place, place + 1 : end], error)
            errors[place - first] = error
        rest[end:] -= upper[first:end, end:].T @ errors
    return codes


def _refine(
    target: Floats, codes: Integers, hessian: Floats, codec: Codec, parameters: Parameters,
    sweeps: int,
) -> tuple[Integers, Parameters]:  # fmt: skip
    """Return better codes and parameters, group by group."""
    codes = codes.copy()
    parameters = tuple(parameter.copy() for parameter in parameters)
    values = codec.expand(codes, _spread(parameters)).astype(np.float64)
    slope = hessian @ (values - target)  # of the loss, by each weight
    for _ in range(sweeps):
        for number, first in enumerate(range(0, len(codes), GROUP)):
            part = slice(first, first + GROUP)
            inside = hessian[part, part]
            own = tuple(parameter[number] for parameter in parameters)
            before = values[part].copy()
            own = _refit(codes[part], own, inside, slope[part], before, codec)
            now = codec.expand(codes[part], own).astype(np.float64)
            local = slope[part] + inside @ (now - before)
            for index in range(GROUP):
                wanted = now[index] - local[index] / inside[index, index]
                codes[first + index] = codec.nearest(wanted, own)
                new = codec.expand(codes[first + index], own)
                local += np.outer(inside[:, index], new - now[index])
                now[index] = new
            for parameter, better in zip(parameters, own, strict=True):
                parameter[number] = better
            slope += hessian[:, part] @ (now - before)
            values[part] = now
    return codes, parameters


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
