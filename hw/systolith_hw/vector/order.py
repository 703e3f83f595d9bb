"""What the loops of DRAIN keep of an instruction."""

from collections.abc import Iterable
from typing import Any

from amaranth import *
from amaranth.lib import data

from ..config import Config
from ..interfaces import PC_BITS
from ..isa import DrainKind, ErrorCode
from ..sequencer.permit import semaphore
from .block_exponent import BASE_BITS

NOT_BUILT = ("function", "accumulate", "factor", "maximum", "rotate", "scaled")
"""Fields that must be zero, as in every core whose ``vector.rows`` is 0."""

__all__ = ["address_bits", "drain_order", "first_reason", "fold", "folded_sum", "order_of"]


def address_bits(config: Config) -> int:
    """Return the width of a word address that DRAIN writes."""
    return (max(config.memory.wide_words, config.memory.activation_words) - 1).bit_length()


def drain_order(config: Config) -> data.StructLayout:
    """Return the shape of an instruction, its wide fields folded (:func:`fold`).

    Every tile and every group has scale words of its own, so that counts above their number lead
    out of the scale memory, whatever they are.
    """
    few = config.memory.scale_words.bit_length()
    waits_and_posts = ("wait_outer", "wait_inner", "post_outer", "post_inner")
    return data.StructLayout({
        **dict.fromkeys(waits_and_posts, semaphore()),
        "wide": 1,
        "stream": 1,
        "illegal": 1,
        "base": BASE_BITS,
        "pc": PC_BITS,
        "tokens": config.sequencer.count_width,
        **dict.fromkeys(("groups", "tiles", "tiles_last"), few + 1),
        "columns_last": (config.array.columns - 1).bit_length() + 1,
        **dict.fromkeys(("token_stride", "group_stride"), address_bits(config) + 1),
    })


def order_of(config: Config, fields: Any) -> dict[str, Value]:
    """Return the members of :func:`drain_order` for an instruction's ``fields``."""
    own = {
        "wide": fields.kind == DrainKind.WIDE,
        "stream": fields.kind == DrainKind.STREAM,
        "illegal": (fields.kind > DrainKind.STREAM) | Cat(fields[name] for name in NOT_BUILT).any(),
        "base": fields.exponent_base,
    }
    folded = ("groups", "tiles", "tiles_last", "columns_last", "token_stride", "group_stride")
    shape = drain_order(config)
    return {
        name: own[name] if name in own
        else fold(fields[name], Shape.cast(member).width - 1) if name in folded
        else Value.cast(fields[name])
        for name, member in shape.members.items()
    }  # fmt: skip


def first_reason(reasons: Iterable[tuple[Value, ErrorCode]]) -> Value:
    """Return the code of the first reason that holds, or 0."""
    code: Value = Const(0, 8)
    for wrong, reason in reversed(list(reasons)):
        code = Mux(wrong, Const(reason, 8), code)
    return code


def fold(field: Value, bits: int) -> Value:
    """Return the low ``bits`` of ``field`` and, above them, whether there is more."""
    return Cat(field[:bits], field[bits:].any())


def folded_sum(a: Value, b: Value) -> Value:
    """Add a folded stride, or one, to a folded address; what is beyond stays beyond."""
    bits = len(a) - 1
    total = (a[:bits] + b[:bits])[: bits + 1]
    return Cat(total[:bits], total[bits] | a[bits] | b[bits:].any())
