"""Which registers are added to the instructions of a language model's layer."""

from dataclasses import dataclass

__all__ = ["NOTHING", "LayerPlaces", "added"]

NOTHING = 0
"""The register that is always zero."""


@dataclass(frozen=True)
class LayerPlaces:
    """The registers that are added to a layer's instructions.

    Of a model of one layer there is nothing to be added for the layer, and what else is may be in
    registers that are there anyway.

    Parameters
    ----------
    tile, entry, keys, values, exponents : int
        As in :class:`DecoderWriter`.
    """

    tile: int
    entry: int
    keys: int
    values: int
    exponents: int


def added(**registers: int) -> dict[str, int]:
    """Return registers that are added to fields, but for the one that is always zero."""
    return {field: register for field, register in registers.items() if register != NOTHING}
