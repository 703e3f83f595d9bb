"""From bytes of the line to frames that are right."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from systolith_hw.link_protocol import (
    CRC_BYTES,
    END,
    ESCAPE,
    ESCAPED_END,
    ESCAPED_ESCAPE,
    HEADER,
)

from .check import add_crc

__all__ = ["SIZE_BYTES", "FrameReceiver"]

SIZE_BYTES = 2
"""In front of each frame in the store: how many bytes it has."""


SPARE = 2
"""Bytes of the ring that are left free, so that it need not be known at once what is."""


class FrameReceiver(wiring.Component):
    """Unescape frames, check them, and keep those that are right until they are taken.

    Bytes go into a ring of memory as they come, behind two that are left free. When the frame has
    ended and its CRC is right, its size is written in front and it is given away; else its bytes
    are overwritten by the next. So nothing of a wrong frame is ever seen.

    =========== ==================================================================
    Latency     the last END to the first byte of ``o``: 5 cycles
    Throughput  a byte of the line in 9 cycles, END in up to 7; of ``o`` in 2
    Stall       ``i`` in those 9; never for ``o``: a frame without room is dropped
    =========== ==================================================================

    Parameters
    ----------
    payload_bytes : int
        Longest payload. The ring has room for more than one such frame.

    Members
    -------
    i : In(stream of 8 bits)
    o : Out(stream of 8 bits)
        For each frame its size, low byte and high byte, and header and payload of that size.
    dropped : Out(16)
        Frames that were not taken: wrong CRC or escape, too short or long, or no room.
    """

    i: Any
    o: Any
    dropped: Signal

    def __init__(self, payload_bytes: int) -> None:
        self.longest = HEADER.size + payload_bytes + CRC_BYTES
        self.depth = 1 << ceil_log2(SIZE_BYTES + self.longest + SPARE)
        super().__init__({
            "i": In(stream.Signature(8)), "o": Out(stream.Signature(8)), "dropped": Out(16),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        held: Any
        restart = Signal()
        crc = add_crc(m, restart)
        m.submodules.ring = held = memory.Memory(
            shape=8, depth=self.depth, init=[], attrs={"ram_style": "block"}
        )
        store = held.write_port()
        write, start, end = (Signal(range(self.depth), name=n) for n in ("write", "start", "end"))
        count, bits, shift = Signal(range(self.longest + 1)), Signal(3), Signal(8)
        bad, escaped = Signal(), Signal()
        size = Signal(16)
        room = self._give(m, held, start, write)
        m.d.comb += [
            size.eq(count - CRC_BYTES), store.addr.eq(write), store.data.eq(shift),
            crc.data.eq(shift[0]),
        ]  # fmt: skip
        with m.FSM(init="restart"):
            with m.State("restart"):
                m.d.comb += restart.eq(1)
                m.d.sync += [write.eq(start), count.eq(0), bad.eq(0), escaped.eq(0)]
                m.next = "reserve"
            with m.State("reserve"):
                m.d.sync += [write.eq(write + 1), bits.eq(bits + 1)]
                with m.If(bits == SIZE_BYTES - 1):
                    m.d.sync += bits.eq(0)
                    m.next = "byte"
            with m.State("byte"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & (self.i.payload == END)):
                    right = crc.match_detected & (count >= HEADER.size + CRC_BYTES)
                    with m.If(right & ~bad & ~escaped):
                        m.d.sync += [write.eq(start), end.eq(write - CRC_BYTES)]
                        m.next = "size low"
                    with m.Elif(count.any() | bad | escaped):
                        m.d.sync += self.dropped.eq(self.dropped + 1)
                        m.next = "restart"
                with m.Elif(self.i.valid):
                    value, kept = self._unescape(m, escaped, bad)
                    m.d.sync += escaped.eq(~escaped & (self.i.payload == ESCAPE))
                    with m.If(kept & ((count == self.longest) | ~room)):
                        m.d.sync += bad.eq(1)
                    with m.Elif(kept):
                        m.d.comb += [store.en.eq(1), store.data.eq(value)]
                        m.d.sync += [write.eq(write + 1), count.eq(count + 1), shift.eq(value)]
                        m.next = "check"
            with m.State("check"):
                m.d.comb += crc.valid.eq(1)
                m.d.sync += [shift.eq(shift >> 1), bits.eq(bits + 1)]
                with m.If(bits == 7):
                    m.next = "byte"
            with m.State("size low"):
                m.d.comb += [store.data.eq(size[:8]), store.en.eq(1)]
                m.d.sync += write.eq(write + 1)
                m.next = "size high"
            with m.State("size high"):
                m.d.comb += [store.data.eq(size[8:]), store.en.eq(1)]
                m.d.sync += start.eq(end)
                m.next = "restart"
        return m

    def _unescape(self, m: Module, escaped: Signal, bad: Signal) -> tuple[Value, Value]:
        """Return a byte's value and whether it has one."""
        byte = self.i.payload
        end, escape = byte == ESCAPED_END, byte == ESCAPED_ESCAPE
        with m.If(escaped & ~(end | escape)):
            m.d.sync += bad.eq(1)
        value = Mux(escaped, Mux(end, END, ESCAPE), byte)
        return value, Mux(escaped, end | escape, byte != ESCAPE)

    def _give(self, m: Module, held: Any, start: Signal, write: Signal) -> Value:
        """Give away what lies in front of ``start``; return whether a byte more has room.

        That is a cycle late: there may be 1 byte more than it knows of, so ``write`` is
        ``depth`` - 1 ahead of ``read`` at most.
        """
        load = held.read_port(transparent_for=[])
        read, ahead, room = Signal(range(self.depth)), Signal(range(self.depth)), Signal()
        m.d.comb += [load.addr.eq(read), ahead.eq(write - read + SPARE)]
        m.d.sync += room.eq(ahead >= SPARE)
        with m.If(self.o.valid):
            m.d.sync += self.o.valid.eq(~self.o.ready)
        with m.Elif(read != start):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(load.data), read.eq(read + 1)]
        return room
