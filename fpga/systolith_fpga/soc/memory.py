"""Memory of a CPU."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from .wishbone import Wishbone

__all__ = ["LocalMemory"]


class LocalMemory(wiring.Component):
    """Block RAM on a classic bus; an access takes 2 cycles.

    Parameters
    ----------
    size : int
        Bytes, a multiple of 4, at least 8. If it is no power of two, nothing is kept of what is
        written beyond it, and anything may be read there.
    contents : bytes
        At its start; what is beyond is zero.

    Members
    -------
    bus : In(Wishbone(ceil(log2(size / 4)), 4))
    """

    bus: Any

    def __init__(self, size: int, contents: bytes = b"") -> None:
        if size < 8 or size % 4:
            raise ValueError(f"size must be a multiple of 4 bytes, at least 8, not {size}")
        if len(contents) > size:
            raise ValueError(f"contents of {len(contents)} bytes do not fit a size of {size}")
        self.size = size
        padded = contents.ljust(-(-len(contents) // 4) * 4, b"\0")
        self.words = [int.from_bytes(padded[at : at + 4], "little")
                      for at in range(0, len(padded), 4)]  # fmt: skip
        super().__init__({"bus": In(Wishbone((size // 4 - 1).bit_length(), 4))})

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        held: Any
        m.submodules.memory = held = memory.Memory(
            shape=32, depth=self.size // 4, init=self.words, attrs={"ram_style": "block"}
        )
        write, read = held.write_port(granularity=8), held.read_port(transparent_for=[])
        access = bus.cyc & bus.stb & ~bus.ack
        m.d.comb += [
            read.addr.eq(bus.adr), write.addr.eq(bus.adr), write.data.eq(bus.dat_w),
            write.en.eq(Mux(access & bus.we, bus.sel, 0)), bus.dat_r.eq(read.data),
        ]  # fmt: skip
        m.d.sync += bus.ack.eq(access)
        return m
