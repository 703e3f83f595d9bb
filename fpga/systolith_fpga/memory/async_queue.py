"""A queue between two clocks whose output is a register."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["AsyncQueue"]


class AsyncQueue(wiring.Component):
    """Hold words on their way from one clock to another.

    Counters of words in Gray code cross, as in Cummings, "Simulation and Synthesis Techniques for
    Asynchronous FIFO Design" (SNUG 2002). Amaranth's ``AsyncFIFO`` finds the next word's address
    from ``ready``, and reads block RAM behind that, which is too slow for an SDRAM's clock; here
    the address is a register, and so is the word.

    =========== ==========================================================
    Latency     4 to 5 cycles of the reading side, 1 more with ``block`` or ``ahead``
    Throughput  1 word per cycle of the slower side
    Stall       both sides' signals come from registers
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
    block : bool
        Hold them in block RAM, not in distributed memory; it holds one word more at the output.
    ahead : bool
        Compare counters in the cycle before: for a fast reading side.

    Members
    -------
    i : In(stream of ``shape``)
        Words in.
    o : Out(stream of ``shape``)
        The same words out.
    room : Out(range(depth + 1))
        In ``i_domain``: words that there is room for, without the places that were freed last, and
        with those that were filled in the last 2 cycles.
    level : Out(range(depth + 2))
        In ``o_domain``: words that are there, without the newest, and with what was taken in the
        last 2 cycles.
    """

    i: stream.Interface
    o: stream.Interface
    room: Signal
    level: Signal

    def __init__(
        self, shape, depth: int, *, i_domain: str, o_domain: str, block: bool = False,
        ahead: bool = False,
    ) -> None:  # fmt: skip
        if depth < 4 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two of at least 4, not {depth}")
        self.shape = shape
        self.depth = depth
        self.domains = i_domain, o_domain
        self.block = block
        self.ahead = ahead
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "room": Out(range(depth + 1)),
            "level": Out(range(depth + 2)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        here, there = self.domains
        style = "block" if self.block else "distributed"
        store: Any = memory.Memory(
            shape=self.shape, depth=self.depth, init=[], attrs={"ram_style": style}
        )
        m.submodules.memory = store
        write = store.write_port(domain=here)
        read = store.read_port(domain=there if self.block else "comb")
        bits = self.depth.bit_length()
        pushed, pushed_gray, after_push = self._counter(m, "pushed", bits, here, push := Signal())
        popped, popped_gray, after_pop = self._counter(m, "popped", bits, there, pop := Signal())
        seen, freed = Signal(bits), Signal(bits)
        m.submodules.seen = FFSynchronizer(pushed_gray, seen, o_domain=there)
        m.submodules.freed = FFSynchronizer(popped_gray, freed, o_domain=here)

        # In Gray code, what is a whole round ahead differs in just its two highest bits.
        round_ahead = freed ^ (3 << bits - 2)
        ready, move, stored = Signal(), Signal(), Signal()
        m.d[here] += ready.eq(Mux(push, after_push != round_ahead, pushed_gray != round_ahead))
        m.d.comb += [
            self.i.ready.eq(ready),
            push.eq(self.i.valid & ready),
            write.addr.eq(pushed),
            write.data.eq(self.i.payload),
            write.en.eq(push),
            read.addr.eq(popped),
            pop.eq(stored & move),
        ]
        if self.ahead:
            m.d[there] += stored.eq(Mux(pop, after_pop != seen, popped_gray != seen))
        else:
            m.d.comb += stored.eq(popped_gray != seen)
        self._elaborate_output(m, there, read, stored, move)
        taken, known, gone = Signal(bits), Signal(bits), Signal(bits)
        m.d[here] += [
            gone.eq(_binary(freed)), self.room.eq(((gone ^ self.depth) - pushed)[:bits])
        ]  # fmt: skip
        m.d[there] += [
            taken.eq(taken + (self.o.valid & self.o.ready)),
            known.eq(_binary(seen)),
            self.level.eq((known - taken)[:bits]),
        ]
        return m

    def _elaborate_output(
        self, m: Module, domain: str, read: Any, stored: Signal, move: Signal
    ) -> None:
        """Offer words from a register; say when the next one may move."""
        valid, word = stored, read.data
        offered = self.o.ready | ~self.o.valid
        m.d.comb += move.eq(offered)
        if self.block:
            valid = Signal()
            m.d.comb += [move.eq(offered | ~valid), read.en.eq(move)]
            with m.If(move):
                m.d[domain] += valid.eq(stored)
        with m.If(offered):
            m.d[domain] += [self.o.payload.eq(word), self.o.valid.eq(valid)]

    def _counter(
        self, m: Module, name: str, bits: int, domain: str, step: Signal
    ) -> tuple[Signal, Signal, Value]:
        """Return a counter of ``step``, the same in Gray code, and that after another step."""
        count = Signal(bits, name=name)
        gray = Signal(bits, name=f"{name}_gray")
        following = Signal(bits, name=f"{name}_next", init=1)
        next_gray = following ^ following[1:]
        with m.If(step):
            m.d[domain] += [count.eq(following), following.eq(following + 1), gray.eq(next_gray)]
        return count, gray, next_gray


def _binary(gray: Value) -> Value:
    """Return the number whose Gray code is given."""
    return Cat(gray[index:].xor() for index in range(len(gray)))
