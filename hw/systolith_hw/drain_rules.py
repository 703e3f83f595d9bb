"""What of DRAIN does not go together, as plain data: for hardware, machine and assembler alike."""

from collections.abc import Mapping

from .isa import DrainFunction, DrainKind

__all__ = ["OPTION_KINDS", "SHARED", "mismatch"]

SHARED = (DrainKind.KEYS, DrainKind.VALUES, DrainKind.HEADS)
"""The kinds whose channels share an exponent: their groups are equal, and all columns exist."""

OPTION_KINDS = {
    "accumulate": (DrainKind.WIDE, DrainKind.BEST, DrainKind.CANDIDATES),
    "maximum": (DrainKind.WIDE,),
    "rotate": (DrainKind.ACTIVATION, DrainKind.KEYS, DrainKind.HEADS),
    "PRODUCT": (DrainKind.ACTIVATION, DrainKind.WIDE),
}
"""The kinds that fields, and the function PRODUCT, are for."""


def mismatch(fields: Mapping[str, int], lanes: int) -> str:
    """Return what is wrong with the fields of a DRAIN on a core of so many lanes, or nothing.

    Fields that are not given are zero.
    """
    f = {name: int(fields.get(name, 0)) for name in ("accumulate", "maximum", "rotate", "factor")}
    kind, function = DrainKind(fields["kind"]), DrainFunction(fields.get("function", 0))
    rotate, product = f["rotate"], function == DrainFunction.PRODUCT
    for name, kinds in OPTION_KINDS.items():
        used = product if name == "PRODUCT" else f[name]
        if used and kind not in kinds:
            names = " and ".join(", ".join(one.name for one in kinds).rsplit(", ", 1))
            return f"{name} is for {names}, not for {kind.name}"
    for wrong, what in (
        (rotate and function, f"rotate with {function.name}"),
        (rotate and f["factor"], "rotate with factor: both use `row`"),
        (rotate and not fields.get("shift"), "rotate with a shift of 0, words that hold no pair"),
        (rotate and lanes == 1, "rotate with a vector.lanes of 1"),
        (product and f["accumulate"], "PRODUCT with accumulate: both read wide memory"),
        (product and f["maximum"], "PRODUCT with maximum: both use `entries`"),
        (
            kind in (DrainKind.BEST, DrainKind.CANDIDATES) and fields["tokens"] > 1,
            f"{kind.name} for {fields['tokens']} tokens",
        ),
    ):
        if wrong:
            return f"DRAIN has no {what}"
    return ""
