"""Memory that keeps up with bursts."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from .wishbone import Pipelined

__all__ = ["MainMemory"]


class MainMemory(wiring.Component):
    """Block RAM on a pipelined bus.

    =========== ==========================================
    Latency     1 cycle from ``stb`` to ``ack``
    Throughput  an access, of either direction, per cycle
    Stall       never
    =========== ==========================================

    Parameters
    ----------
    size : int
        Bytes, a multiple of a word, at least two. An access beyond is answered with ``err``.
    address_bits, data_bytes : int
        Of the bus.
    contents : bytes
        At its start; what is beyond is zero.

    Members
    -------
    bus : In(Pipelined(address_bits, data_bytes))
    """

    bus: Any

    def __init__(
        self, size: int, address_bits: int, data_bytes: int, contents: bytes = b""
    ) -> None:
        if size < 2 * data_bytes or size % data_bytes:
            raise ValueError(
                f"size must be a multiple of {data_bytes} bytes, at least {2 * data_bytes}, "
                f"not {size}"
            )
        if len(contents) > size:
            raise ValueError(f"contents of {len(contents)} bytes do not fit a size of {size}")
        self.size, self.data_bytes = size, data_bytes
        padded = contents.ljust(-(-len(contents) // data_bytes) * data_bytes, b"\0")
        self.words = [int.from_bytes(padded[at : at + data_bytes], "little")
                      for at in range(0, len(padded), data_bytes)]  # fmt: skip
        self.depth = size // data_bytes
        super().__init__({"bus": In(Pipelined(address_bits, data_bytes))})

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        held: Any
        m.submodules.memory = held = memory.Memory(
            shape=8 * self.data_bytes, depth=self.depth, init=self.words,
            attrs={"ram_style": "block"},
        )  # fmt: skip
        write, read = held.write_port(granularity=8), held.read_port(transparent_for=[])
        access, beyond = Signal(), Signal()
        m.d.comb += [
            access.eq(bus.cyc & bus.stb), beyond.eq(bus.adr >= self.depth),
            read.addr.eq(bus.adr), write.addr.eq(bus.adr), write.data.eq(bus.dat_w),
            write.en.eq(Mux(access & bus.we & ~beyond, bus.sel, 0)), bus.dat_r.eq(read.data),
        ]  # fmt: skip
        m.d.sync += [bus.ack.eq(access & ~beyond), bus.err.eq(access & beyond)]
        return m
