"""Between the clock of the clients and that of the SDRAM."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.fifo import AsyncFIFO
from amaranth.lib.wiring import In, Out

from .sdram_shapes import BurstPort

__all__ = ["Crossing"]

REQUESTS = 4
"""Requests that wait for the SDRAM's side."""


class Crossing(wiring.Component):
    """Carry requests and beats between two clocks that need not know of each other.

    ::

        sync                                sdram
        near.request ──► [ 4 requests ] ──► far.request
        near.write   ──► [ capacity   ] ──► far.write     write_level
        near.read    ◄── [ capacity   ] ◄── far.read      read_room

    The queues are those of Cummings, "Simulation and Synthesis Techniques for Asynchronous FIFO
    Design" (SNUG 2002). A whole beat crosses at a time, so the near side may be slower than the
    chip by as many times as a beat has words.

    =========== ==========================================================
    Latency     up to 4 cycles of the side that receives
    Throughput  1 beat per cycle of the slower side, each way
    Stall       none between the sides but full and empty queues
    =========== ==========================================================

    Both sides have to be reset together, the near one for longer: :class:`~.resets.MemoryResets`.

    Parameters
    ----------
    address_bits : int
        Bits of a byte address.
    data_bytes : int
        Bytes of a beat.
    capacity : int
        Beats that each queue holds; a power of two.

    Members
    -------
    near : In(BurstPort)
        In domain "sync".
    far : Out(BurstPort)
        In domain "sdram"; ``far.read`` must not come without room.
    read_room, write_level : Out(range(capacity + 1))
        Room for ``far.read``, and beats that ``far.write`` has; never too large but for what was
        moved in the last :data:`~.sdram_admission.LEVEL_DELAY` cycles.
    """

    near: Any
    far: Any
    read_room: Signal
    write_level: Signal

    def __init__(self, address_bits: int, data_bytes: int, capacity: int) -> None:
        if capacity < 4 or capacity & (capacity - 1):
            raise ValueError(f"capacity must be a power of two of at least 4, not {capacity}")
        self.capacity = capacity
        port = BurstPort(address_bits, data_bytes)
        super().__init__({
            "near": In(port),
            "far": Out(port),
            "read_room": Out(range(capacity + 1)),
            "write_level": Out(range(capacity + 1)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        self._elaborate_queue(m, "request", self.near, self.far, REQUESTS, "sync", "sdram")
        write = self._elaborate_queue(
            m, "write", self.near, self.far, self.capacity, "sync", "sdram"
        )
        read = self._elaborate_queue(m, "read", self.far, self.near, self.capacity, "sdram", "sync")
        m.d.sdram += [
            self.read_room.eq(self.capacity - read.w_level),
            self.write_level.eq(write.r_level),
        ]
        return m

    def _elaborate_queue(
        self, m: Module, name: str, giver: Any, taker: Any, depth: int, here: str, there: str
    ) -> AsyncFIFO:
        """Add the queue from stream ``name`` of ``giver`` to that of ``taker``."""
        i, o = getattr(giver, name), getattr(taker, name)
        width = len(i.payload.as_value())
        queue = AsyncFIFO(
            width=width, depth=depth, w_domain=here, r_domain=there, exact_depth=True
        )
        m.submodules[name] = queue
        # Who is in reset may look as if it took what is offered.
        awake = ~ResetSignal(there, allow_reset_less=True)
        m.d.comb += [
            queue.w_data.eq(i.payload),
            queue.w_en.eq(i.valid),
            i.ready.eq(queue.w_rdy),
            o.payload.eq(queue.r_data),
            o.valid.eq(queue.r_rdy & awake),
            queue.r_en.eq(o.ready & awake),
        ]
        return queue
