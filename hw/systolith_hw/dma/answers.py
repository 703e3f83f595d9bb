"""Wait for the responses to the bursts of a STORE."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import PC_BITS, SemaphorePost
from ..sequencer.permit import semaphore

__all__ = ["Answers"]


class Answers(wiring.Component):
    """Count the responses that are missing, for two transfers: one complete, one in progress.

    Responses come in the order of the bursts, so they belong to the older transfer until that
    has all of its own; then it posts. Without a queue in front of STORE there is no older one:
    a transfer is in progress until it is ``done``.

    =========== ==========================================================
    Latency     1 cycle from the last response to the post
    Throughput  1 burst and 1 response per cycle
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``sequencer.queue_depth``, and ``bus.outstanding``, which limits the bursts under
        way; one more may be on its way back from the memory port.

    Members
    -------
    burst : In(1)
        Memory has accepted a burst.
    end : In(1)
        It is the last of its transfer.
    hold : Out(1)
        The last burst of a transfer cannot be counted.
    asked : Out(1)
        The transfer in progress only waits for responses.
    done : Out(1)
        Strobe: it has them. Both only without a queue.
    post : In(semaphore()), pc : In(16)
        Of the transfer in progress.
    response : In(stream of an error bit)
        From memory.
    post_outer : Out(SemaphorePost)
        A transfer has all its responses.
    failed : Out(1), failed_pc : Out(16)
        Strobe: an error response, and whose.
    idle : Out(1)
        No response is missing.
    """

    burst: Signal
    end: Signal
    hold: Signal
    asked: Signal
    done: Signal
    post: data.View
    pc: Signal
    response: stream.Interface
    post_outer: Any
    failed: Signal
    failed_pc: Signal
    idle: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "burst": In(1),
            "end": In(1),
            "hold": Out(1),
            "asked": Out(1),
            "done": Out(1),
            "post": In(semaphore()),
            "pc": In(PC_BITS),
            "response": In(stream.Signature(1, always_ready=True)),
            "post_outer": Out(SemaphorePost()),
            "failed": Out(1),
            "failed_pc": Out(PC_BITS),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        current = Signal(range(self.config.bus.outstanding + 2))
        m.d.comb += self.failed.eq(self.response.valid & self.response.payload)
        if self.config.sequencer.instructions_stand:
            self._elaborate_one(m, current)
        else:
            self._elaborate_two(m, current)
        return m

    def _elaborate_one(self, m: Module, current: Signal) -> None:
        """Count for the transfer in progress."""
        m.d.sync += [
            current.eq(current + self.burst - self.response.valid),
            self.asked.eq((self.burst & self.end) | (self.asked & ~self.done)),
        ]
        m.d.comb += [
            self.idle.eq(~current.any()),
            self.done.eq(self.asked & self.idle),
            self.failed_pc.eq(self.pc),
            self.post_outer.valid.eq(self.done & self.post.present),
            self.post_outer.id.eq(self.post.id),
        ]

    def _elaborate_two(self, m: Module, current: Signal) -> None:
        """Count for that in progress, and for an older one."""
        older = Signal.like(current)
        older_post: Any = Signal(semaphore(), reset_less=True)
        older_pc = Signal(PC_BITS, reset_less=True)
        for_older = Signal()
        counted = Signal.like(current)
        m.d.comb += [
            for_older.eq(older.any()),
            counted.eq(current + self.burst - (self.response.valid & ~for_older)),
            self.hold.eq(for_older),
            self.failed_pc.eq(Mux(for_older, older_pc, self.pc)),
            self.idle.eq(~(current.any() | for_older)),
        ]
        m.d.sync += [
            current.eq(counted),
            self.post_outer.valid.eq(self.response.valid & (older == 1) & older_post.present),
            self.post_outer.id.eq(older_post.id),
        ]
        with m.If(self.response.valid & for_older):
            m.d.sync += older.eq(older - 1)
        with m.If(self.burst & self.end):
            m.d.sync += [
                current.eq(0),
                older.eq(counted),
                older_post.eq(self.post),
                older_pc.eq(self.pc),
            ]
