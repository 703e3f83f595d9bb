"""Weights that LOAD expands, each with all that it is made of, so that they can be moved about.

A weight's *recipe* is one number: its code, then its group's parameters. Recipes of a matrix are an
array like that of its weights, and can be padded, cut and reordered in the same way; the only
thing that counts in the end is that the 32 rows which become a group have the same parameters.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from systolith_hw.code_pages import PARAMETER_BITS, CodePage
from systolith_hw.config import CODE_BITS, CODE_GROUP, ConfigError
from systolith_sim.dma.codec import pack_runs

__all__ = ["NOTHING", "pack_recipes", "recipes"]

NOTHING = -1
"""The recipe of a weight that may become anything, since it is multiplied by zeros only."""

FIELD = 8
"""Bits of each parameter in a recipe."""

MASK = (1 << FIELD) - 1


def recipes(
    codes: NDArray[np.integer], parameters: Sequence[NDArray[np.integer]]
) -> NDArray[np.int32]:
    """Return the recipes (K, N) of codes (K, N) whose groups have parameters (groups, N)."""
    found = codes.astype(np.int32)
    for place, parameter in enumerate(parameters):
        wide = np.repeat(parameter.astype(np.int32) & MASK, CODE_GROUP, axis=0)[: len(codes)]
        found |= wide << CODE_BITS + FIELD * place
    return found


def pack_recipes(page: CodePage, panels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return runs (panels, bytes) of panels (panels, rows, C), rows of whole row writes.

    Raises
    ------
    ConfigError
        If the rows of a group have parameters of two.
    """
    count, rows, columns = panels.shape
    fill = -rows % CODE_GROUP
    whole = np.pad(panels, ((0, 0), (0, fill), (0, 0)), constant_values=NOTHING)
    groups = whole.reshape(count, -1, CODE_GROUP, columns)
    shared = groups.max(axis=2) >> CODE_BITS
    if not ((groups == NOTHING) | (groups >> CODE_BITS == shared[:, :, None])).all():
        raise ConfigError(
            f"4-bit weights of this model cannot be packed: {CODE_GROUP} rows that follow one "
            "another on the chip have parameters of two groups of inputs, as where heads have a "
            "number of features that is no power of two, or inputs are cut elsewhere than behind "
            f"a multiple of {CODE_GROUP}; take weights int8"
        )
    codes = np.where(panels == NOTHING, 0, panels & (1 << CODE_BITS) - 1)
    shared = np.where(shared < 0, 0, shared)  # a group of nothing
    fields = 2 if PARAMETER_BITS[page.kind] > FIELD else 1
    parameters = [shared >> FIELD * place & MASK for place in range(fields)]
    return pack_runs(page, codes, parameters)
