"""What of DRAIN does not go together, as plain data: for hardware, machine and assembler alike."""

from collections.abc import Mapping

from .config import Config
from .isa import DrainFunction, DrainKind

__all__ = ["OPTION_KINDS", "SHARED", "kinds", "mismatch"]

SHARED = (DrainKind.KEYS, DrainKind.VALUES, DrainKind.HEADS)
"""The kinds whose channels share an exponent: their groups are equal, and all columns exist."""

OPTION_KINDS = {
    "accumulate": (
        DrainKind.WIDE, DrainKind.BEST, DrainKind.CANDIDATES, DrainKind.MEASURED,
    ),
    "maximum": (DrainKind.WIDE,),
    "rotate": (DrainKind.ACTIVATION, DrainKind.KEYS, DrainKind.HEADS),
    "PRODUCT": (DrainKind.ACTIVATION, DrainKind.WIDE),
}
"""The kinds that fields, and the function PRODUCT, are for."""


def kinds(config: Config) -> list[DrainKind]:
    """Return the kinds that a core has with ``vector.rows``."""
    has = {
        DrainKind.CANDIDATES: config.vector.candidates > 0,
        DrainKind.MEASURED: config.vector.deferred_norms,
    }
    return [kind for kind in DrainKind if has.get(kind, True)]


def mismatch(fields: Mapping[str, int], lanes: int) -> str:
    """Return what is wrong with the fields of a DRAIN on a core of so many lanes, or nothing.

    Fields that are not given are zero.
    """
    names = ("accumulate", "maximum", "rotate", "factor", "scaled")
    f = {name: int(fields.get(name, 0)) for name in names}
    kind, function = DrainKind(fields["kind"]), DrainFunction(fields.get("function", 0))
    rotate, product = f["rotate"], function == DrainFunction.PRODUCT
    for name, allowed in OPTION_KINDS.items():
        used = product if name == "PRODUCT" else f[name]
        if used and kind not in allowed:
            listed = " and ".join(", ".join(one.name for one in allowed).rsplit(", ", 1))
            return f"{name} is for {listed}, not for {kind.name}"
    for wrong, what in (
        (rotate and function, f"rotate with {function.name}"),
        (rotate and f["factor"], "rotate with factor: both use `row`"),
        (f["scaled"] and f["factor"], "scaled with factor, which takes the entry's place"),
        (rotate and not fields.get("shift"), "rotate with a shift of 0, words that hold no pair"),
        (rotate and lanes == 1, "rotate with a vector.lanes of 1"),
        (product and f["accumulate"], "PRODUCT with accumulate: both read wide memory"),
        (product and f["maximum"], "PRODUCT with maximum: both use `entries`"),
        (
            kind in (DrainKind.BEST, DrainKind.CANDIDATES) and fields["tokens"] > 1,
            f"{kind.name} for {fields['tokens']} tokens",
        ),
        (
            kind == DrainKind.MEASURED and (fields["tokens"] > 1 or fields["groups"] > 1),
            f"MEASURED for {fields['tokens']} tokens in {fields['groups']} groups",
        ),
    ):
        if wrong:
            return f"DRAIN has no {what}"
    return ""
