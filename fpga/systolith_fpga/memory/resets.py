"""Reset both sides of a clock crossing together, whichever is reset."""

from amaranth import *
from amaranth.lib.cdc import AsyncFFSynchronizer, ResetSynchronizer

__all__ = ["RESET_STAGES", "MemoryResets"]

FIRST, LAST = 4, 6
"""Cycles of the near clock for which the far side is held in reset, and for which the near one
stays in it after that: until all that crosses between them has come to rest."""

RESET_STAGES = 3
"""Of the synchronizer of a reset: synthesis may copy the last one, which has hundreds of readers,
so what comes to it must have settled."""


class MemoryResets(Elaboratable):
    """Drive the resets of "near" and "far" from those of "sync" and "sdram".

    "near" and "far" are the parent's, with the clocks of "sync" and "sdram". A reset of either,
    however short, resets both, at once, for some cycles of both clocks; then "far" leaves reset
    first, and "near" when all that the far side had sent is gone. What was under way is lost on
    both sides: clients in "sync" must be reset with "near".
    """

    def elaborate(self, platform) -> Module:
        m = Module()
        either, held = Signal(), Signal()
        m.d.comb += either.eq(ResetSignal("sync") | ResetSignal("sdram"))
        # A queue that the far side resets is empty only after cycles of the near clock.
        m.submodules.held = AsyncFFSynchronizer(either, held, o_domain="near", stages=FIRST)
        m.submodules.far = ResetSynchronizer(
            either | held, domain="far", stages=RESET_STAGES
        )
        m.submodules.near = ResetSynchronizer(
            either | held | ResetSignal("far"), domain="near", stages=LAST
        )
        return m
