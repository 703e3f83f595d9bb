"""The host link without its line: bytes in, bytes out."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from systolith_hw.config import Config
from systolith_hw.link_protocol import Identity

from .executor import LinkExecutor
from .frame_receiver import FrameReceiver
from .frame_sender import FrameSender
from .ports import endpoint_ports

__all__ = ["LinkEndpoint"]


class LinkEndpoint(wiring.Component):
    """Answer the host's frames: memory, registers, the interrupt, and who this is.

    Whatever bytes come, the next frame that is right is answered. Bursts are of ``burst_bytes`` at
    most and begin or end at multiples of it, so they stay inside pages of 4096 bytes.

    =========== ======================================================================
    Throughput  a byte of the line in 9 cycles each way, less what memory takes
    Stall       never ``i``, but for those 9 cycles: what there is no room for is lost
    Golden      ``systolith_sim.board.link_bridge``
    =========== ======================================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``.
    identity : Identity
        What this says of itself. Its ``payload_bytes`` is a power of two from 64: the memory for
        frames that come is at least twice as large, that for replies just so. Its
        ``memory_bytes`` is a multiple of ``burst_bytes`` below 4 GiB that ``bus.address_bits`` can
        address: accesses from there on are refused.
    burst_bytes : int
        Longest burst in memory: a power of two from ``bus.data_bytes`` to 256 beats and 4096 bytes.

    Members
    -------
    i, o : In, Out(stream of 8 bits)
        From and to the line.
    load : Out(ReadPort(config)), store : Out(WritePort(config)), registers : Out(RegisterPort())
    irq : In(1)
        The core's interrupt line.
    """

    i: Any
    o: Any
    load: Any
    store: Any
    registers: Any
    irq: Signal

    def __init__(self, config: Config, identity: Identity, burst_bytes: int) -> None:
        size, largest = identity.memory_bytes, (1 << 32) - burst_bytes
        largest = min(1 << config.bus.address_bits, largest)
        if not 0 < size <= largest or size % burst_bytes:
            raise ValueError(
                f"memory_bytes must be a multiple of {burst_bytes} up to {largest}, not {size}"
            )
        self.frames, self.replies = FrameReceiver(identity.payload_bytes), FrameSender()
        self.executor = LinkExecutor(config, identity, burst_bytes)
        super().__init__(endpoint_ports(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.frames = frames = self.frames
        m.submodules.executor = executor = self.executor
        m.submodules.replies = replies = self.replies
        connect(m, flipped(self.i), frames.i)
        connect(m, frames.o, executor.i)
        connect(m, executor.o, replies.i)
        connect(m, replies.o, flipped(self.o))
        for name in ("load", "store", "registers"):
            connect(m, getattr(executor, name), flipped(getattr(self, name)))
        m.d.comb += [executor.irq.eq(self.irq), executor.dropped.eq(frames.dropped)]
        return m
