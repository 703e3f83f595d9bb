"""What the parts of the compact endpoint's program share: places in memory, and steps."""

from systolith_hw.link_protocol import (
    CRC_BYTES,
    HEADER,
    IDENTITY_BYTES,
    REPLY,
    STATUS_SHIFT,
    Status,
)

from .instructions import Condition, Function, Program, Source

__all__ = [
    "ADDRESS", "IDENTITY_PLACE", "KEPT", "LENGTH", "LONGEST", "OPERATION", "PAYLOAD",
    "PAYLOAD_BYTES", "SEQUENCE", "increase", "status_byte",
]  # fmt: skip

PAYLOAD_BYTES = 64
"""Longest payload: there is room for one frame."""

PAYLOAD = HEADER.size
LONGEST = HEADER.size + PAYLOAD_BYTES + CRC_BYTES
IDENTITY_PLACE = 80
KEPT = IDENTITY_PLACE + IDENTITY_BYTES
"""Places in memory: a frame from 0 on, the identity, and what a register had; variables behind."""

SEQUENCE, OPERATION, ADDRESS, LENGTH = 0, 1, 2, 6


def status_byte(status: Status) -> int:
    """Return a reply's operation without the operation."""
    return REPLY | status << STATUS_SHIFT


def increase(p: Program, low: int | str, high: int | str, done: str) -> None:
    """Add one to 16 bits in two places or variables; go to ``done`` without a carry."""
    for byte in (low, high):
        p.load(byte, Source.MEMORY)
        p.compute(Function.ADD, 1)
        p.store(byte)
        if byte == low:
            p.jump(done, Condition.CARRY, unless=True)
