"""Which features of the residual stand side by side, and so share a step of 4-bit weights.

Gammas are multiplied into the matrices behind norms. 32 inputs share a step, which is as coarse as
the largest gamma among them makes it, and the error that it leaves grows with the inputs. The
features are the same for all norms of a model, so an order is sought that is good for all of them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from systolith_sim.dma.codec import GROUP
from systolith_sim.transformer.decoder_reference import FloatDecoder, KeyValueCache, hidden

__all__ = ["feature_order"]

Floats = NDArray[np.floating]
Order = NDArray[np.intp]

TEXTS, LONGEST = 12, 200
"""As many texts, and tokens of them, show how large the inputs are."""

EXCHANGES = 300
"""Times the number of features: exchanges that are tried."""

PATIENCE = 8
"""Times the number of features: exchanges in a row that need not help before it ends."""


def feature_order(model: FloatDecoder, documents: Sequence[Sequence[int]]) -> Order:
    """Return the numbers of all features, (N,), in an order in which groups lose little.

    Parameters
    ----------
    model : FloatDecoder
        Its gammas still in its norms.
    documents : sequence of token numbers
    """
    gammas = [norm for layer in model.layers for norm in (layer.attention_norm, layer.hidden_norm)]
    steps = np.square(np.array([*gammas, model.norm], np.float64)).T
    inputs = _squares(model, [list(text[:LONGEST]) for text in documents[:TEXTS]]).T
    inputs /= (steps * inputs).sum(axis=0)  # each norm counts for what its inputs and gammas make
    start = np.argsort(np.log(steps / steps.mean(axis=0) + 1e-12).mean(axis=1), kind="stable")
    return _exchange(start, steps, inputs)


def _squares(model: FloatDecoder, documents: list[list[int]]) -> Floats:
    """Return the mean squares (norms, N) of what all norms make, without their gammas."""
    found, ones = [], np.ones_like(model.norm)
    residual = [model.embedding[text] for text in documents]
    if model.positions is not None:
        residual = [x + model.positions[: len(x)] for x in residual]

    def measure() -> None:
        found.append(np.concatenate([model.normalize(x, ones) ** 2 for x in residual]).mean(axis=0))

    for number, layer in enumerate(model.layers):
        measure()
        context = [
            model.attend(layer, model.normalize(x, layer.attention_norm),
                         KeyValueCache(len(model.layers)), number) for x in residual
        ]  # fmt: skip
        residual = [x + one @ layer.output for x, one in zip(residual, context, strict=True)]
        measure()
        residual = [
            x + hidden(layer, model.normalize(x, layer.hidden_norm)) @ layer.down for x in residual
        ]
    measure()
    return np.array(found, np.float64)


def _exchange(order: Order, steps: Floats, inputs: Floats) -> Order:
    """Exchange features of two groups as long as that makes the loss less.

    Parameters
    ----------
    order : (N,) int
    steps, inputs : (N, norms) floats
        What a feature makes of the square of its group's step, and the square of itself.
    """
    rng = np.random.default_rng(0)
    groups = [order[first : first + GROUP].copy() for first in range(0, len(order), GROUP)]

    def loss(group: Order) -> float:
        return float((steps[group].max(axis=0) * inputs[group].sum(axis=0)).sum())

    losses, failures = [loss(group) for group in groups], 0
    for _ in range(EXCHANGES * len(order) if len(groups) > 1 else 0):
        one, other = rng.choice(len(groups), 2, replace=False)
        place, place_of_other = (int(rng.integers(len(groups[which]))) for which in (one, other))
        first, second = groups[one].copy(), groups[other].copy()
        first[place], second[place_of_other] = second[place_of_other], first[place]
        new = loss(first), loss(second)
        failures += 1
        if sum(new) < (losses[one] + losses[other]) * (1 - 1e-9):
            groups[one], groups[other] = first, second
            losses[one], losses[other] = new
            failures = 0
        elif failures == PATIENCE * len(order):
            break
    return np.concatenate(groups)
