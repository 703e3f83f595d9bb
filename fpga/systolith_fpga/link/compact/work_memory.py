"""The compact endpoint's memory: half of it is a ring of bytes that came."""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PLACES", "WorkMemory"]

PLACES = 256
"""Bytes for variables, and as many for the ring."""


class WorkMemory(wiring.Component):
    """512 bytes in a block of memory with a port for writing and one for reading.

    =========== =======================================================
    Latency     1 cycle from ``address`` or ``ring`` to ``data``; 2 from
                ``i`` to ``empty``
    Throughput  a byte per cycle, of ``i`` or of ``write``
    Stall       ``write`` by ``i``, never ``i``: what the ring has no
                room for is lost
    =========== =======================================================

    Parameters
    ----------
    contents : sequence of int
        What variables begin with. A reset leaves them alone.

    Members
    -------
    i : In(stream of 8 bits)
        Into the ring.
    address, ring : In(8), In(1)
        Read a variable, or the ring's oldest byte; the variable to write.
    data : Out(8)
        What was read.
    pop : In(1)
        The ring's oldest byte has been taken.
    empty : Out(1)
        There is none.
    write, written, value : In(1), Out(1), In(8)
        Write a variable: until ``written`` says that it has been.
    """

    i: Any
    address: Signal
    ring: Signal
    data: Signal
    pop: Signal
    empty: Signal
    write: Signal
    value: Signal
    written: Signal

    def __init__(self, contents: Sequence[int]) -> None:
        self.contents = contents
        super().__init__({
            "i": In(stream.Signature(8)), "address": In(8), "ring": In(1), "data": Out(8),
            "pop": In(1), "empty": Out(1), "write": In(1), "value": In(8), "written": Out(1),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        held: Any
        # What is read while it is written is not looked at.
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        m.submodules.memory = held = memory.Memory(
            shape=8, depth=2 * PLACES, init=self.contents, attrs=attrs
        )
        store, load = held.write_port(), held.read_port(transparent_for=[])
        newest, oldest, following = (Signal(range(PLACES)) for _ in range(3))
        came = self.i.valid
        m.d.comb += [
            self.i.ready.eq(1), self.written.eq(~came), following.eq(newest + 1),
            store.en.eq(came | self.write), store.data.eq(Mux(came, self.i.payload, self.value)),
            store.addr.eq(Mux(came, Cat(newest, 1), Cat(self.address, C(0, 1)))),
            load.addr.eq(Mux(self.ring, Cat(oldest, 1), Cat(self.address, C(0, 1)))),
            self.data.eq(load.data), self.empty.eq(newest == oldest),
        ]  # fmt: skip
        with m.If(came & (following != oldest)):
            m.d.sync += newest.eq(following)
        with m.If(self.pop):
            m.d.sync += oldest.eq(oldest + 1)
        return m
