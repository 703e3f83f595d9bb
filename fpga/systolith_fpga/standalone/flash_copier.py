"""From flash memory to main memory, on a CPU's word."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..soc.wishbone import Pipelined, Wishbone
from .flash_reader import ADDRESS_BITS

__all__ = ["FlashCopier"]


class FlashCopier(wiring.Component):
    """Copy bytes from flash to main memory, word by word, and take their CRC.

    ======= ======================================================================
    Word 0  FROM: byte address in flash memory, 24 bits
    Word 1  TO: byte address in main memory, a multiple of its word
    Word 2  BYTES, 24 bits: a write begins
    Word 3  STATUS: bit 0, at work; bit 1, main memory answered with an error, or TO
            is no multiple of a word, for which nothing is copied
    Word 4  CRC: CRC-32, as zlib's, of the bytes of the last copy
    ======= ======================================================================

    An access of the CPU takes 2 cycles; writes while it is at work change nothing. Of a last word
    only the bytes that are there are written.

    Parameters
    ----------
    address_bits : int
        Of a byte address of main memory.
    data_bytes : int
        Of a word of it, a power of two from 2.

    Members
    -------
    bus : In(Wishbone(3, 4))
        From the CPU.
    request : Out(stream), i : In(stream of 8 bits)
        To and from :class:`~.flash_reader.FlashReader`.
    memory : Out(Pipelined(address_bits - log2(data_bytes), data_bytes))
        One access at a time.
    """

    bus: Any
    request: Any
    i: Any
    memory: Any

    def __init__(self, address_bits: int, data_bytes: int) -> None:
        if data_bytes < 2 or data_bytes & (data_bytes - 1):
            raise ValueError(f"data_bytes must be a power of two from 2, not {data_bytes}")
        self.shift = ceil_log2(data_bytes)
        self.word_bits = address_bits - self.shift
        asked = data.StructLayout({"address": ADDRESS_BITS, "last": ADDRESS_BITS})
        super().__init__({
            "bus": In(Wishbone(3, 4)), "request": Out(stream.Signature(asked)),
            "i": In(stream.Signature(8)), "memory": Out(Pipelined(self.word_bits, data_bytes)),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        source, target, left = Signal(ADDRESS_BITS), Signal(32), Signal(ADDRESS_BITS)
        idle, failed, begin = Signal(), Signal(), Signal()
        crc = CRC32_ISO_HDLC(data_width=8).create()
        m.submodules.crc = crc = ResetInserter(begin)(crc)
        self._registers(m, source, target, left, idle, begin,
                        [source, target, left, Cat(~idle | begin, failed), crc.crc])  # fmt: skip
        m.d.comb += [
            self.request.p.address.eq(source), self.request.p.last.eq(left - 1),
            self.memory.we.eq(1),
            crc.data.eq(self.i.payload), crc.valid.eq(self.i.valid & self.i.ready),
        ]  # fmt: skip
        with m.FSM():
            with m.State("idle"):
                m.d.comb += idle.eq(1)
                with m.If(begin):
                    m.d.sync += failed.eq(target[: self.shift].any())
                    m.next = "ask"
            with m.State("ask"):
                m.d.comb += self.request.valid.eq(~failed & left.any())
                with m.If(self.request.ready):
                    m.next = "gather"
                with m.If(failed | ~left.any()):
                    m.next = "idle"
            with m.State("gather"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self._gather(m, target, left)):
                    m.next = "write"
            with m.State("write"):
                m.d.comb += [self.memory.cyc.eq(1), self.memory.stb.eq(1)]
                with m.If(~self.memory.stall):
                    m.next = "answer"
            with m.State("answer"):
                m.d.comb += self.memory.cyc.eq(1)
                with m.If(self.memory.ack | self.memory.err):
                    m.d.sync += [failed.eq(failed | self.memory.err), self.memory.sel.eq(0)]
                    m.next = "gather"
                    with m.If(left == 0):
                        m.next = "idle"
        return m

    def _gather(self, m: Module, target: Signal, left: Signal) -> Value:
        """Put a byte into its word; return that this completes it."""
        memory, lane = self.memory, target[: self.shift]
        full = Signal()
        m.d.comb += full.eq(self.i.valid & (lane.all() | (left == 1)))
        with m.If(self.i.valid):
            m.d.sync += [
                memory.dat_w.word_select(lane, 8).eq(self.i.payload),
                memory.sel.bit_select(lane, 1).eq(1), memory.adr.eq(target >> self.shift),
                target.eq(target + 1), left.eq(left - 1),
            ]  # fmt: skip
        return full

    def _registers(self, m: Module, source: Signal, target: Signal, left: Signal, idle: Signal,
                   begin: Signal, words: list[Value]) -> None:  # fmt: skip
        bus = self.bus
        access = bus.cyc & bus.stb & ~bus.ack
        m.d.sync += [bus.ack.eq(access), begin.eq(0)]
        with m.If(access):
            m.d.sync += bus.dat_r.eq(Array([*words, *[C(0, 32)] * (8 - len(words))])[bus.adr])
        with m.If(access & bus.we & idle & ~begin):
            with m.Switch(bus.adr):
                for number, word in enumerate((source, target, left)):
                    with m.Case(number):
                        m.d.sync += word.eq(bus.dat_w)
        with m.If(access & bus.we & idle & (bus.adr == 2)):
            m.d.sync += begin.eq(1)
