"""Where the beats of a block wait for its exponent."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BeatRing"]

LOGIC_DEPTH = 16
"""A ring of more beats may be block RAM, whose output needs a register of its own."""


class BeatRing(wiring.Component):
    """Keep beats, and give them back in their order.

    =========== ====================================================
    Latency     1 cycle from ``read`` to ``o``, 2 from block RAM (:attr:`latency`);
                a beat may be read in the cycle after it was written
    Throughput  a beat in and a beat out per cycle
    Undefined   what is written while ``depth`` beats are kept
    =========== ====================================================

    Parameters
    ----------
    bits : int
        Width of a beat.
    beats : int
        How many must have room.
    distributed : bool
        Build it from logic, however many.

    Members
    -------
    write : In(1), i : In(bits)
        A beat to keep.
    read : In(1)
        Give one back.
    o : Out(bits)
        It.
    """

    write: Signal
    i: Signal
    read: Signal
    o: Signal

    def __init__(self, bits: int, beats: int, *, distributed: bool = False) -> None:
        self.depth = 1 << (beats - 1).bit_length()
        self.distributed = distributed or self.depth <= LOGIC_DEPTH
        self.latency = 1 if self.distributed else 2
        super().__init__({"write": In(1), "i": In(bits), "read": In(1), "o": Out(bits)})

    def elaborate(self, platform) -> Module:
        m = Module()
        block = not self.distributed
        attrs: dict[str, Any] = {"no_rw_check": 1}
        if self.depth > LOGIC_DEPTH:  # otherwise any synthesis takes logic
            attrs["ram_style"] = "block" if block else "distributed"
        ring: memory.Memory = memory.Memory(
            shape=unsigned(len(self.i)), depth=self.depth, init=[], attrs=attrs
        )
        m.submodules.ring = ring
        write, read = ring.write_port(), ring.read_port()
        m.d.comb += [
            write.en.eq(self.write),
            write.data.eq(self.i),
            read.en.eq(1 if block else self.read),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + self.write),
            read.addr.eq(read.addr + self.read),
        ]
        if block:
            register = Signal(len(self.o), reset_less=True)
            m.d.sync += register.eq(read.data)
            m.d.comb += self.o.eq(register)
        else:
            m.d.comb += self.o.eq(read.data)
        return m
