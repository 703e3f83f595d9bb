"""From a CPU's bus to memory of another width."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .wishbone import Pipelined, Wishbone

__all__ = ["Bridge"]

CPU_BYTES = 4


class Bridge(wiring.Component):
    """Make one access to memory of a CPU's, or several if memory is narrower.

    An access takes as many cycles as memory does for its words, and one.

    Parameters
    ----------
    address_bits : int
        Of a byte address, of both sides.
    data_bytes : int
        Of a word of memory, a power of two.

    Members
    -------
    cpu : In(Wishbone(address_bits - 2, 4))
    memory : Out(Pipelined(address_bits - log2(data_bytes), data_bytes))
    """

    cpu: Any
    memory: Any

    def __init__(self, address_bits: int, data_bytes: int) -> None:
        if data_bytes < 1 or data_bytes & (data_bytes - 1):
            raise ValueError(f"data_bytes must be a power of two, not {data_bytes}")
        self.data_bytes = data_bytes
        offset_bits = data_bytes.bit_length() - 1
        super().__init__({
            "cpu": In(Wishbone(address_bits - 2, CPU_BYTES)),
            "memory": Out(Pipelined(address_bits - offset_bits, data_bytes)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        cpu, bus = self.cpu, self.memory
        beats = max(1, CPU_BYTES // self.data_bytes)
        asked, answered = Signal(range(beats + 1)), Signal(range(beats + 1))
        failed = Signal()
        busy = Signal()
        m.d.comb += [
            busy.eq(cpu.cyc & cpu.stb & ~cpu.ack & ~cpu.err),
            bus.cyc.eq(busy),
            bus.stb.eq(busy & (asked != beats)),
            bus.we.eq(cpu.we),
        ]
        if beats == 1:
            self._place(m)
        else:
            self._cut(m, asked, answered, beats)
        answer = bus.cyc & (bus.ack | bus.err)
        m.d.sync += [cpu.ack.eq(0), cpu.err.eq(0)]
        with m.If(bus.stb & ~bus.stall):
            m.d.sync += asked.eq(asked + 1)
        with m.If(answer):
            m.d.sync += [answered.eq(answered + 1), failed.eq(failed | bus.err)]
            with m.If(answered == beats - 1):
                m.d.sync += [
                    cpu.ack.eq(~(failed | bus.err)), cpu.err.eq(failed | bus.err),
                    asked.eq(0), answered.eq(0), failed.eq(0),
                ]  # fmt: skip
        return m

    def _place(self, m: Module) -> None:
        """Find the CPU's word in one of memory's, which is as wide or wider."""
        cpu, bus = self.cpu, self.memory
        words = self.data_bytes // CPU_BYTES
        where = cpu.adr[: words.bit_length() - 1]
        m.d.comb += [
            bus.adr.eq(cpu.adr >> len(where)),
            bus.dat_w.eq(cpu.dat_w.replicate(words)),
            bus.sel.eq(cpu.sel << (where << 2)),
        ]
        with m.If(bus.ack):
            m.d.sync += cpu.dat_r.eq(bus.dat_r.word_select(where, 8 * CPU_BYTES))

    def _cut(self, m: Module, asked: Signal, answered: Signal, beats: int) -> None:
        """Give memory, which is narrower, one part of the CPU's word after the other."""
        cpu, bus = self.cpu, self.memory
        part = asked[: beats.bit_length() - 1]
        m.d.comb += [
            bus.adr.eq(Cat(part, cpu.adr)),
            bus.dat_w.eq(cpu.dat_w.word_select(part, 8 * self.data_bytes)),
            bus.sel.eq(cpu.sel.word_select(part, self.data_bytes)),
        ]
        with m.If(bus.ack):
            place = answered[: len(part)]
            m.d.sync += cpu.dat_r.word_select(place, 8 * self.data_bytes).eq(bus.dat_r)
