"""A queue between two clocks whose output is a register."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["AsyncQueue"]


class AsyncQueue(wiring.Component):
    """Hold words on their way from one clock to another, in distributed memory.

    Counters of words in Gray code cross, as in Cummings, "Simulation and Synthesis Techniques for
    Asynchronous FIFO Design" (SNUG 2002). Amaranth's ``AsyncFIFO`` finds the next word's address
    from ``ready``, and reads block RAM behind that, which is too slow for an SDRAM's clock; here
    the address is a register, and so is the word.

    =========== ==========================================================
    Latency     4 to 5 cycles of the reading side
    Throughput  1 word per cycle of the slower side
    Stall       ``o`` and ``level`` come from registers
    =========== ==========================================================

    Both domains have to be reset together, and writing begins only after both have left it.

    Parameters
    ----------
    shape : ShapeLike
        What one word is.
    depth : int
        Words held, besides one at the output; a power of two of at least 4.
    i_domain, o_domain : str
        Clocks of the two sides.

    Members
    -------
    i : In(stream of ``shape``)
        Words in.
    o : Out(stream of ``shape``)
        The same words out.
    level : Out(range(depth + 2))
        In ``o_domain``: words that are there, without the newest, and with what was taken in the
        last 2 cycles.
    """

    i: stream.Interface
    o: stream.Interface
    level: Signal

    def __init__(self, shape, depth: int, *, i_domain: str, o_domain: str) -> None:
        if depth < 4 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two of at least 4, not {depth}")
        self.shape = shape
        self.depth = depth
        self.domains = i_domain, o_domain
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "level": Out(range(depth + 2)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        here, there = self.domains
        store: Any = memory.Memory(
            shape=self.shape, depth=self.depth, init=[], attrs={"ram_style": "distributed"}
        )
        m.submodules.memory = store
        write, read = store.write_port(domain=here), store.read_port(domain="comb")
        bits = self.depth.bit_length()
        pushed, pushed_gray = self._counter(m, "pushed", bits, here, push := Signal())
        popped, popped_gray = self._counter(m, "popped", bits, there, pop := Signal())
        seen, freed = Signal(bits), Signal(bits)
        m.submodules.seen = FFSynchronizer(pushed_gray, seen, o_domain=there)
        m.submodules.freed = FFSynchronizer(popped_gray, freed, o_domain=here)

        # In Gray code, what is a whole round ahead differs in just its two highest bits.
        m.d.comb += [
            self.i.ready.eq(pushed_gray != freed ^ (3 << bits - 2)),
            push.eq(self.i.valid & self.i.ready),
            write.addr.eq(pushed),
            write.data.eq(self.i.payload),
            write.en.eq(push),
            read.addr.eq(popped),
            pop.eq((popped_gray != seen) & (self.o.ready | ~self.o.valid)),
        ]
        taken, known = Signal(bits), Signal(bits)
        with m.If(self.o.ready | ~self.o.valid):
            m.d[there] += [self.o.payload.eq(read.data), self.o.valid.eq(popped_gray != seen)]
        m.d[there] += [
            taken.eq(taken + (self.o.valid & self.o.ready)),
            known.eq(Cat(seen[index:].xor() for index in range(bits))),
            self.level.eq((known - taken)[:bits]),
        ]
        return m

    def _counter(
        self, m: Module, name: str, bits: int, domain: str, step: Signal
    ) -> tuple[Signal, Signal]:
        """Return a counter of ``step``, and the same in Gray code."""
        count = Signal(bits, name=name)
        gray = Signal(bits, name=f"{name}_gray")
        following = Signal(bits, name=f"{name}_next")
        m.d.comb += following.eq(count + 1)  # beside ``step``, which comes late
        with m.If(step):
            m.d[domain] += [count.eq(following), gray.eq(following ^ following[1:])]
        return count, gray
