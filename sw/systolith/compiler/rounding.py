"""Round weights to int8 so that the errors of a channel cancel each other on likely inputs.

The method is GPTQ's (Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers", 2022): inputs are rounded one after another, and what each rounding
leaves is made up for by those still to come, weighted by how inputs go together. No text is needed
for that: random tokens show it (:func:`systolith.compiler.encoder_quantizer.measure_grams`).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DAMPING", "round_weights"]

DAMPING = 0.1
"""Of the mean square of an input: how little the measurement is trusted."""

BLOCK = 64
"""Inputs after which the rest is corrected, for speed; results are the same."""


def round_weights(
    weights: ArrayLike, step: ArrayLike, gram: ArrayLike, *, limit: int, damping: float = DAMPING
) -> NDArray[np.int64]:
    """Return integers with ``integers * step`` close to ``weights`` on the inputs of ``gram``.

    Parameters
    ----------
    weights : (K, N) floats
    step : (N,) floats
        Of each output channel; channels of step 0 become 0.
    gram : (K, K) floats
        ``x.T @ x`` of inputs (rows, K); need not be regular.
    limit : int
        Largest magnitude of an integer.
    damping : float
        Of the mean square of an input, added to each one's.
    """
    rest = np.array(weights, np.float64)
    step = np.asarray(step, np.float64)
    safe = np.where(step > 0, step, 1.0)
    inputs = len(rest)
    gram = np.array(gram, np.float64)
    mean = np.trace(gram) / inputs
    gram[np.diag_indices(inputs)] += damping * mean if mean > 0 else 1.0
    upper = np.linalg.cholesky(np.linalg.inv(gram)).T
    integers = np.zeros(rest.shape, np.int64)
    for first in range(0, inputs, BLOCK):
        end = min(first + BLOCK, inputs)
        errors = np.empty((end - first, rest.shape[1]))
        for index in range(first, end):
            rounded = np.clip(np.rint(rest[index] / safe), -limit, limit)
            integers[index] = np.where(step > 0, rounded, 0)
            error = (rest[index] - integers[index] * step) / upper[index, index]
            rest[index + 1 : end] -= np.outer(upper[index, index + 1 : end], error)
            errors[index - first] = error
        rest[end:] -= upper[first:end, end:].T @ errors
    return integers
