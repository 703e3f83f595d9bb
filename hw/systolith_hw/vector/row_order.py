"""What the loops of NORM and SOFTMAX keep of an instruction."""

from typing import Any

from amaranth import *
from amaranth.lib import data

from ..config import SCALE_BITS, Config
from ..interfaces import PC_BITS, descriptor
from ..isa import SLOT_BITS, ErrorCode, Opcode
from ..sequencer.permit import semaphore
from .block_exponent import BASE_BITS
from .order import first_reason, fold
from .row_shapes import FACTOR_SHIFT_BITS

__all__ = ["objection", "row_descriptor", "row_order", "row_order_of"]


def row_descriptor() -> data.FlexibleLayout:
    """Return the layout of an instruction that is NORM or SOFTMAX: the fields of both."""
    return descriptor(Opcode.NORM, Opcode.SOFTMAX)


def row_order(config: Config) -> data.StructLayout:
    """Return the shape of an instruction, its strides folded (:func:`~.order.fold`).

    ``norm`` tells NORM from SOFTMAX, whose ``back``, ``centre`` and ``defer`` are zero; ``twice``:
    tokens are swept twice. What only one of the two has shares its bits of the instruction with
    what only the other has.
    """
    memory = config.memory
    waits_and_posts = ("wait_outer", "wait_inner", "post_outer", "post_inner")
    return data.StructLayout({
        **dict.fromkeys(waits_and_posts, semaphore()),
        **dict.fromkeys(("norm", "twice", "centre", "back", "defer"), 1),
        "exponent_base": BASE_BITS,
        "pc": PC_BITS,
        **dict.fromkeys(("tokens", "elements", "epsilon", "causal"), SLOT_BITS),
        "inverse": SCALE_BITS,
        "inverse_shift": FACTOR_SHIFT_BITS,
        "source_stride": (memory.wide_words - 1).bit_length() + 1,
        "scale_stride": (memory.scale_words - 1).bit_length() + 1,
        "token_stride": (memory.activation_words - 1).bit_length() + 1,
    })


def row_order_of(config: Config, fields: Any) -> dict[str, Value]:
    """Return the members of :func:`row_order` for an instruction's ``fields``."""
    norm = fields.opcode == Opcode.NORM
    own = {"norm": norm, "twice": norm & ~fields.defer}
    own |= {name: norm & fields[name] for name in ("centre", "back", "defer")}
    shape = row_order(config)
    return {
        name: own[name] if name in own
        else fold(fields[name], Shape.cast(member).width - 1) if name.endswith("_stride")
        else Value.cast(fields[name])
        for name, member in shape.members.items()
    }  # fmt: skip


def objection(config: Config, order: Any) -> Value:
    """Return the code of what is wrong with an instruction as a whole, or 0.

    What is wrong for two reasons has the code that the functional machine gives.
    """
    reasons = [
        (~order.tokens.any() | ~order.elements.any(), ErrorCode.ZERO_COUNT),
        (order.elements > config.array.max_k, ErrorCode.ADDRESS_RANGE),
        (order.norm & ~order.epsilon.any(), ErrorCode.ZERO_COUNT),
        (order.norm & ~order.inverse[-1], ErrorCode.ILLEGAL_INSTRUCTION),
        (order.defer & (order.centre | order.back | C(not config.vector.deferred_norms)),
         ErrorCode.ILLEGAL_INSTRUCTION),
    ]
    return first_reason(reasons)
