"""Reset both sides of a clock crossing together, whichever is reset."""

from amaranth import *
from amaranth.lib.cdc import ResetSynchronizer

__all__ = ["MemoryResets"]

STAGES = 6
"""Cycles of the near side's reset after the far one: until its queues have seen that."""


class MemoryResets(Elaboratable):
    """Drive the resets of "near" and "far" from those of "sync" and "sdram".

    "near" and "far" are the parent's, with the clocks of "sync" and "sdram". A reset of either,
    however short, resets both, at once; then "far" leaves reset first, and "near" when all that the
    far side had sent is gone. What was under way is lost on both sides: clients in "sync" must be
    reset with "near".
    """

    def elaborate(self, platform) -> Module:
        m = Module()
        either = Signal()
        m.d.comb += either.eq(ResetSignal("sync") | ResetSignal("sdram"))
        m.submodules.far = ResetSynchronizer(either, domain="far")
        m.submodules.near = ResetSynchronizer(
            either | ResetSignal("far"), domain="near", stages=STAGES
        )
        return m
