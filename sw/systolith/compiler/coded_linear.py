"""A matrix of which the weights are codes, until LOAD expands them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.isa import LoadKind
from systolith_sim.transformer.encoder import Linear

__all__ = ["CodedLinear", "kind_of", "loaded"]


@dataclass(frozen=True)
class CodedLinear(Linear):
    """A matrix whose ``weights`` are what comes of codes.

    Parameters
    ----------
    kind : LoadKind
        How LOAD brings them to the chip.
    recipes : (K, N) int32
        Code and parameters of each weight: :mod:`.recipes`.
    """

    kind: LoadKind
    recipes: NDArray[np.int32]


def kind_of(linear: Linear) -> LoadKind:
    """Return how LOAD brings a matrix to the chip."""
    return linear.kind if isinstance(linear, CodedLinear) else LoadKind.OPERAND_ROWS


def loaded(linear: Linear) -> NDArray[np.integer]:
    """Return what lies in external memory of each weight (K, N): itself, or its recipe."""
    return linear.recipes if isinstance(linear, CodedLinear) else linear.weights
