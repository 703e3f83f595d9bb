"""Hold values back for some cycles, in a memory made of logic."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LONGEST_DELAY", "Delay"]

LONGEST_DELAY = 16


class Delay(wiring.Component):
    """Give each value back some cycles later.

    A ring that is read in the place that is about to be written: a third of the cells, and a
    fraction of the wires, of a chain of registers.

    =========== ==============================================
    Latency     ``cycles`` (:attr:`latency`)
    Throughput  1 value per cycle; never stalls
    Undefined   what comes out before anything went in
    =========== ==============================================

    Parameters
    ----------
    bits : int
        Width of a value.
    cycles : int
        How long, 2 to 16: as many as a memory of ECP5's logic cells holds.

    Members
    -------
    i : In(bits)
        Values.
    o : Out(bits)
        The same, later; not from a register.
    """

    i: Signal
    o: Signal

    def __init__(self, bits: int, cycles: int) -> None:
        if cycles not in range(2, LONGEST_DELAY + 1):
            raise ValueError(f"cycles must be 2 to {LONGEST_DELAY}, not {cycles}")
        self.bits = bits
        self.cycles = cycles
        super().__init__({"i": In(bits), "o": Out(bits)})

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``."""
        return self.cycles

    def elaborate(self, platform) -> Module:
        m = Module()
        attrs: dict[str, Any] = {"ram_style": "distributed"}
        ring: memory.Memory = memory.Memory(
            shape=unsigned(self.bits), depth=self.cycles, init=[], attrs=attrs
        )
        m.submodules.ring = ring
        write, read = ring.write_port(), ring.read_port(domain="comb")
        place = Signal(range(self.cycles))
        m.d.sync += place.eq(Mux(place == self.cycles - 1, 0, place + 1))
        m.d.comb += [
            write.en.eq(1),
            write.addr.eq(place),
            write.data.eq(self.i),
            read.addr.eq(place),
            self.o.eq(read.data),
        ]
        return m
