"""What is wrong with a MATMUL as a whole."""

from typing import Any

from amaranth import *

from ..config import Config
from ..limits import steps_limit

__all__ = ["check_instruction"]


def check_instruction(m: Module, config: Config, offered: Any, *ring: Value) -> Value:
    """Check the instruction ``offered``; return "a zero count" and "an address out of range", a
    cycle late.

    ``ring`` are more things to look for, of what is before the ring's end.
    """
    memory = config.memory
    address_bits = (memory.activation_words - 1).bit_length()
    counts = (offered.tokens, offered.groups, offered.tiles, offered.tiles_last, offered.steps)
    not_numbered = not config.array.numbered
    zero_count = Signal(reset_less=True)
    out_of_range = Signal(3 + len(ring), reset_less=True)
    m.d.sync += [
        zero_count.eq(Cat(count == 0 for count in counts).any()),
        out_of_range.eq(Cat(
            offered.ring_end > memory.operand_tiles,
            *ring,
            # Each token is held against the memory's depth besides.
            offered.activation[address_bits:].any() | (not_numbered & offered.numbered.any()),
            offered.steps > steps_limit(config),
        )),
    ]  # fmt: skip
    return Cat(zero_count, out_of_range.any())
