"""Bytes from and to external memory."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from systolith_hw.config import Config
from systolith_hw.interfaces import ReadPort, WritePort

__all__ = ["MemoryBurst"]


class MemoryBurst(wiring.Component):
    """Read or write bytes in one burst, up to the next multiple of ``burst_bytes`` at most.

    Address and number of bytes belong to whoever is around it, who moves both on by a byte in each
    cycle of ``step``.

    =========== =========================================================
    Latency     4 cycles from ``read`` or ``write`` to the request
    Throughput  1 byte per cycle, and 1 cycle more for a beat that is
                written
    Stall       requests, beats, ``i``; a beat of several bytes is taken
                in the cycle of its last
    =========== =========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``.
    burst_bytes : int
        Bytes of a burst: a power of two from ``bus.data_bytes`` to 256 beats and 4096 bytes.
    left_shape : Shape
        Of ``left``.

    Members
    -------
    load : Out(ReadPort(config)), store : Out(WritePort(config))
    read, write : In(1)
        Begin, at a time when none is under way; one of them, and for a cycle.
    address : In(32)
        Of the next byte.
    left : In(left_shape)
        Bytes that are still wanted, with the next one.
    i : In(stream of 8 bits)
        Bytes to write.
    o : Out(stream of 8 bits, always ready)
        Bytes that were read.
    step : Out(1)
        A byte passes.
    done : Out(1)
        Strobe: the burst is over. By then ``left`` may have reached 0.
    error : Out(1)
        With ``done``: memory answered with an error.
    """

    load: Any
    store: Any
    read: Signal
    write: Signal
    address: Signal
    left: Signal
    i: Any
    o: Any
    step: Signal
    done: Signal
    error: Signal

    def __init__(self, config: Config, burst_bytes: int, left_shape: Any) -> None:
        width = config.bus.data_bytes
        longest = min(4096, 256 * width)
        if not width <= burst_bytes <= longest or burst_bytes & (burst_bytes - 1):
            raise ValueError(
                f"burst_bytes must be a power of two from {width} to {longest}, not {burst_bytes}"
            )
        self.config, self.burst_bytes = config, burst_bytes
        super().__init__({
            "load": Out(ReadPort(config)), "store": Out(WritePort(config)),
            "read": In(1), "write": In(1), "address": In(32), "left": In(left_shape),
            "i": In(stream.Signature(8)), "o": Out(stream.Signature(8, always_ready=True)),
            "step": Out(1), "done": Out(1), "error": Out(1),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        reading, failed, answered = Signal(), Signal(), Signal()
        ends_beat, ends_burst = self._ends(m)
        self._request(m)
        with m.FSM():
            with m.State("idle"):
                m.d.sync += [reading.eq(self.read), failed.eq(0), answered.eq(0)]
                with m.If(self.read | self.write):
                    m.next = "measure"
            with m.State("measure"):
                m.next = "count"
            with m.State("count"):
                m.next = "request"
            with m.State("request"):
                m.d.comb += [self.load.request.valid.eq(reading),
                             self.store.request.valid.eq(~reading)]  # fmt: skip
                with m.If(Mux(reading, self.load.request.ready, self.store.request.ready)):
                    m.next = "write"
                    with m.If(reading):
                        m.next = "read"
            with m.State("read"):
                self._read(m, failed, ends_beat)
                with m.If(self.step & ends_burst):
                    m.next = "done"
            with m.State("write"):
                self._collect(m)
                with m.If(self.step & ends_beat):
                    m.d.sync += self.store.data.p.last.eq(ends_burst)
                    m.next = "beat"
            with m.State("beat"):
                m.d.comb += self.store.data.valid.eq(1)
                with m.If(self.store.data.ready):
                    m.d.sync += self.store.data.p.strobe.eq(0)
                    m.next = "write"
                    with m.If(self.store.data.p.last):
                        m.next = "response"
            with m.State("response"):
                with m.If(answered):
                    m.next = "done"
            with m.State("done"):
                m.d.comb += [self.done.eq(1), self.error.eq(failed)]
                m.next = "idle"
        with m.If(self.store.response.valid):
            m.d.sync += [answered.eq(1), failed.eq(self.store.response.payload)]
        return m

    def _lane(self) -> Value:
        """Return the place of the next byte in its beat."""
        return self.address[: ceil_log2(self.config.bus.data_bytes)]

    def _ends(self, m: Module) -> tuple[Value, Value]:
        """Return whether the next byte is the last one of its beat, and of the burst."""
        ends_beat, ends_burst = Signal(), Signal()
        last = self.left == 1
        inside = self.address[: ceil_log2(self.burst_bytes)]
        m.d.comb += [ends_beat.eq(last | self._lane().all()), ends_burst.eq(last | inside.all())]
        return ends_beat, ends_burst

    def _request(self, m: Module) -> None:
        """Say where the burst begins and how many beats it has: whole ones, up to the last byte
        that is wanted or to the end of the block. That takes two cycles, in registers that only
        then are right."""
        shift = ceil_log2(self.config.bus.data_bytes)
        first, last = self.address[: ceil_log2(self.burst_bytes)], Signal(8)
        end = Signal(max(len(first), len(self.left)) + 1)
        inside = Mux(end < self.burst_bytes, end, self.burst_bytes - 1) >> shift
        m.d.sync += [end.eq(first + self.left - 1), last.eq(inside - (first >> shift))]
        for port in (self.load, self.store):
            m.d.comb += [
                port.request.p.address.eq(Cat(C(0, shift), self.address[shift:])),
                port.request.p.last.eq(last),
            ]

    def _read(self, m: Module, failed: Signal, ends_beat: Value) -> None:
        """Give the bytes of a beat while it waits."""
        beat = self.load.data
        m.d.comb += [
            self.o.valid.eq(beat.valid),
            self.o.payload.eq(beat.p.data.word_select(self._lane(), 8)),
            self.step.eq(beat.valid),
            beat.ready.eq(ends_beat),
        ]
        with m.If(beat.valid & beat.p.error):
            m.d.sync += failed.eq(1)

    def _collect(self, m: Module) -> None:
        """Put a byte into the beat that is to be written."""
        beat, lane = self.store.data.p, self._lane()
        m.d.comb += [self.i.ready.eq(1), self.step.eq(self.i.valid)]
        with m.If(self.i.valid):
            m.d.sync += [
                beat.data.word_select(lane, 8).eq(self.i.payload),
                beat.strobe.bit_select(lane, 1).eq(1),
            ]
