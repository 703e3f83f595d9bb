"""Between the clock of the clients and that of the SDRAM."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .async_queue import AsyncQueue
from .sdram_shapes import BurstPort

__all__ = ["Crossing"]

REQUESTS = 4
"""Requests that wait for the SDRAM's side."""


class Crossing(wiring.Component):
    """Carry requests and beats between two clocks that need not know of each other.

    ::

        sync                                sdram
        near.request ──► [ 4 requests ] ──► far.request
        near.write   ──► [ half of it ] ──► far.write     write_level
        near.read    ◄── [ capacity   ] ◄── far.read      read_room

    A whole beat crosses at a time, so the near side may be slower than the
    chip by as many times as a beat has words.

    =========== ==========================================================
    Latency     up to 6 cycles of the side that receives, 5 for a request
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
        Beats read that wait for the near side, and twice the beats to write that wait for the far
        one; a power of two of at least 8.

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
        if capacity < 8 or capacity & (capacity - 1):
            raise ValueError(f"capacity must be a power of two of at least 8, not {capacity}")
        self.capacity = capacity
        self.write_capacity = capacity // 2
        port = BurstPort(address_bits, data_bytes)
        super().__init__({
            "near": In(port),
            "far": Out(port),
            "read_room": Out(range(capacity + 1)),
            "write_level": Out(range(capacity + 1)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.request = request = self._queue(self.near.request, REQUESTS, ahead=False)
        m.submodules.write = write = self._queue(self.near.write, self.write_capacity, ahead=True)
        connect(m, flipped(self.near.request), request.i)
        connect(m, flipped(self.near.write), write.i)
        # Who is in reset may look as if it took what is offered. The reset itself comes from afar.
        awake = Signal()
        m.d.sdram += awake.eq(1)
        for queue, taker in ((request, self.far.request), (write, self.far.write)):
            m.d.comb += [
                taker.valid.eq(queue.o.valid),
                taker.payload.eq(queue.o.payload),
                queue.o.ready.eq(taker.ready & awake),
            ]
        m.d.comb += self.write_level.eq(write.level)
        self._elaborate_read(m)
        return m

    def _queue(self, giver: Any, depth: int, *, ahead: bool) -> AsyncQueue:
        """Return a queue to the SDRAM's side for the stream ``giver``."""
        return AsyncQueue(
            giver.payload.shape(), depth, i_domain="sync", o_domain="sdram", ahead=ahead
        )

    def _elaborate_read(self, m: Module) -> None:
        """Carry beats read in block RAM."""
        giver = self.far.read
        m.submodules.read = queue = AsyncQueue(
            giver.payload.shape(), self.capacity, i_domain="sdram", o_domain="sync", block=True
        )
        connect(m, flipped(giver), queue.i)
        connect(m, queue.o, flipped(self.near.read))
        m.d.comb += self.read_room.eq(queue.room)
