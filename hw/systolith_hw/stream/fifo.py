"""A first-in first-out queue in synchronous-read memory."""

from typing import Any, Literal

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fifo"]


class Fifo(wiring.Component):
    """Hold up to ``depth`` words between two streams, in order.

    ::

        i ──►[ memory of depth words ]──►[ its read register ]──► o

    The read register is the output: it is filled as soon as it is free, and counts as one of
    the ``depth`` words. A queue of depth 1 is that register alone. With ``output_register`` there
    is one more behind it, filled in the same way: block RAM is slow to give its data.

    =========== ==========================================================
    Latency     a word accepted in cycle t is offered in cycle t + 2, with
                ``output_register`` t + 3 (:attr:`latency`; t + 1 for
                depth 1)
    Throughput  1 word per cycle from depth 4 on, with ``output_register``
                5; below that 2 in 3 cycles, then 1 in 3 (1 in 2 for depth 1)
    Stall       ``i.ready``, ``o.valid``, ``empty`` and ``level`` come from
                registers: no combinational path leads through the queue.
                ``i.ready`` may be zero for up to 2 cycles while the last
                word but one moves to the output
    =========== ==========================================================

    Parameters
    ----------
    shape : ShapeLike
        What one word is.
    depth : int
        Words held, at least 1; need not be a power of two.
    style : "block", "distributed" or None
        Memory to build it from; None leaves the choice to synthesis.
    output_register : bool
        Offer words from a register behind the memory; for a depth of at least 3.

    Members
    -------
    i : In(stream of ``shape``)
        Words in.
    o : Out(stream of ``shape``)
        The same words out.
    empty : Out(1)
        No word is held.
    level : Out(range(depth + 1))
        Words accepted and not yet taken; a counter that only those pay for who look at it.
    """

    i: stream.Interface
    o: stream.Interface
    empty: Signal
    level: Signal

    def __init__(
        self,
        shape,
        depth: int,
        *,
        style: Literal["block", "distributed"] | None = None,
        output_register: bool = False,
    ) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth}")
        self.shape = shape
        self.depth = depth
        self.style = style
        self.output_register = output_register and depth > 2
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "empty": Out(1),
            "level": Out(range(depth + 1)),
        })

    @property
    def latency(self) -> int:
        """Cycles from accepting a word to offering it, when the queue is empty."""
        return 1 if self.depth == 1 else 2 + self.output_register

    def elaborate(self, platform) -> Module:
        m = Module()

        push = Signal()
        pop = Signal()
        m.d.comb += [push.eq(self.i.valid & self.i.ready), pop.eq(self.o.valid & self.o.ready)]
        m.d.sync += self.level.eq(self.level + push - pop)

        if self.depth == 1:
            word = Signal.like(self.o.payload, reset_less=True)
            full = Signal()
            m.d.comb += [
                self.o.payload.eq(word),
                self.o.valid.eq(full),
                self.i.ready.eq(~full),
                self.empty.eq(~full),
            ]
            m.d.sync += full.eq(push | (full & ~pop))
            with m.If(push):
                m.d.sync += word.eq(self.i.payload)
        else:
            self._elaborate_memory(m, push)

        return m

    def _elaborate_memory(self, m: Module, push: Signal) -> None:
        """Add memory, pointers and the rule that fills the read register."""
        attrs: Any = {"no_rw_check": 1}
        if self.style is not None:
            attrs["ram_style"] = self.style
        store: Any = memory.Memory(shape=self.shape, depth=self._places, init=[], attrs=attrs)
        m.submodules.memory = store
        write = store.write_port()
        read = store.read_port()

        # A place is always left free, so that the pointers alone tell full from empty. It is
        # written in every cycle, with a word or not: an enable would go to every block of a wide
        # memory. A word may be read from the cycle after it was written.
        stored = Signal()
        valid = Signal()
        free = Signal()
        m.d.comb += [
            stored.eq(write.addr != read.addr),
            self.empty.eq(~(stored | valid | self.o.valid)),
            write.en.eq(1),
            write.data.eq(self.i.payload),
            read.en.eq(free),  # also when nothing is stored: what it reads then is not valid
        ]
        # Whoever writes has gates of its own behind `ready`, so that is a register, and so are the
        # places that follow; one that is read now counts as free a cycle later.
        following = Signal.like(write.addr, init=1 % self._places)
        then = Signal.like(write.addr, init=2 % self._places)
        ready = Signal(init=1)
        m.d.comb += self.i.ready.eq(ready)
        m.d.sync += ready.eq(Mux(push, then != read.addr, following != read.addr))
        with m.If(push):
            m.d.sync += [
                write.addr.eq(following), following.eq(then), then.eq(self._after(then))
            ]  # fmt: skip
        with m.If(free):
            m.d.sync += valid.eq(stored)
            with m.If(stored):
                m.d.sync += read.addr.eq(self._after(read.addr))
        self._elaborate_output(m, valid, free, read.data)

    def _elaborate_output(self, m: Module, valid: Value, free: Value, word: Any) -> None:
        """Offer what the read register holds; say when that is free."""
        if not self.output_register:
            m.d.comb += [
                free.eq(self.o.ready | ~valid), self.o.valid.eq(valid), self.o.payload.eq(word)
            ]  # fmt: skip
            return
        offered = Signal()
        offer = Signal.like(self.o.payload, reset_less=True)
        move = self.o.ready | ~offered
        m.d.comb += [free.eq(move | ~valid), self.o.valid.eq(offered), self.o.payload.eq(offer)]
        with m.If(move):
            m.d.sync += [offered.eq(valid), offer.eq(word)]

    @property
    def _places(self) -> int:
        """Words of memory: one is always free, and there is a register or two behind them."""
        return self.depth - self.output_register

    def _after(self, pointer: Value) -> Value:
        """Return the pointer that follows."""
        if self._places & (self._places - 1) == 0:
            return (pointer + 1)[: len(pointer)]
        return Mux(pointer == self._places - 1, 0, pointer + 1)
