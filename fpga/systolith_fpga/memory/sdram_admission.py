"""Let a segment begin only when nothing of its client's can stop it half-way."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .sdram_chips import SdramChip
from .sdram_shapes import SEGMENT_WORDS, segment

__all__ = ["LEVEL_DELAY", "SdramAdmission"]

LEVEL_DELAY = 3
"""Cycles after which ``room`` and ``level`` know of a beat that was given or taken."""


class SdramAdmission(wiring.Component):
    """Compare what a segment needs with the client's queues, less what others were promised.

    A segment that has begun never waits for its client, so a refresh waits for a known time.

    =========== ==========================================================
    Latency     ``admitted`` of a segment offered in cycle t is known in
                cycle t + 1, and 4 cycles after another has been taken
    Throughput  1 segment in 4 cycles
    =========== ==========================================================

    Parameters
    ----------
    chip : SdramChip
        Its geometry.
    data_bytes : int
        Bytes of a beat.
    capacity : int
        Beats that each of the client's queues holds.

    Members
    -------
    valid : In(1), segment : In(:func:`~.sdram_shapes.segment`)
        What wants to begin.
    admitted : Out(1)
        It may.
    taken : In(1)
        It does so in this cycle; at least 4 cycles from one to the next.
    room, level : In(range(capacity + 1))
        Beats that the client has room for, and beats to write that it has ready.
    read, written : In(1)
        A beat is given to the client, or taken from it; ``room`` and ``level`` know of it
        :data:`LEVEL_DELAY` cycles later at most, never before.
    """

    valid: Signal
    segment: Any
    admitted: Signal
    taken: Signal
    room: Signal
    level: Signal
    read: Signal
    written: Signal

    def __init__(self, chip: SdramChip, data_bytes: int, capacity: int) -> None:
        self.words = data_bytes // chip.data_bytes
        self.capacity = capacity
        super().__init__({
            "valid": In(1),
            "segment": In(segment(chip)),
            "admitted": Out(1),
            "taken": In(1),
            "room": In(range(capacity + 1)),
            "level": In(range(capacity + 1)),
            "read": In(1),
            "written": In(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = (self.words - 1).bit_length()
        last = self.segment.last[bits:]
        write = self.segment.write
        fits = [
            self._elaborate_side(m, "read", self.taken & ~write, last, self.room, self.read),
            self._elaborate_side(m, "write", self.taken & write, last, self.level, self.written),
        ]
        m.d.sync += self.admitted.eq(self.valid & Mux(write, fits[1], fits[0]))
        return m

    def _elaborate_side(
        self, m: Module, name: str, taken: Value, last: Value, free: Signal, done: Signal
    ) -> Value:
        """Count what is promised; return whether the rest of ``free`` is more than ``last``."""
        adds = Signal(range(SEGMENT_WORDS + 1), name=f"{name}_adds")
        promised = Signal(range(self.capacity + 1), name=f"{name}_promised")
        rest = Signal(signed(len(promised) + 1), name=f"{name}_rest")
        late = Signal(LEVEL_DELAY, name=f"{name}_late")
        m.d.sync += [
            adds.eq(Mux(taken, last + 1, 0)),
            late.eq(Cat(done, late)),
            promised.eq(promised + adds - late[-1]),
            rest.eq(free - promised),
        ]
        return (last - rest)[-1]  # the sign alone is faster than what is made of a comparison
