"""Counting semaphores, the only order between units."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import SEMAPHORE_ID_BITS, SemaphorePost, SemaphoreWait

__all__ = ["SemaphoreFile"]


class SemaphoreFile(wiring.Component):
    """Counting semaphores, the only order between units.

    Any port may name any semaphore, and all posts of a cycle count::

        count' = count + posts - (1 if taken)

    One waiter is given a count in a cycle, the lowest of those whose semaphore has one. It then
    holds off for two cycles, until the count shows it. What CREDIT gives takes the last unit's last
    port, when that posts nothing.

    =========== ==========================================================
    Latency     2 cycles (:attr:`latency`) from a post to the ``ready`` of
                whoever waits, 3 if there are more than 4 units
    Throughput  1 count per cycle, and 1 in 3 cycles for each waiter
    Errors      ``misuse``, until ``clear``: a semaphore that does not exist,
                a count beyond its range, a count given to two waiters
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``sequencer.semaphores`` and ``sequencer.semaphore_bits``.
    units : int
        Who waits and posts; each has one port to wait and two to post.

    Members
    -------
    wait_0, wait_1, ... : In(SemaphoreWait)
        ``ready`` depends combinationally on ``valid`` and ``id`` of all.
    post_0, post_1, ... : In(SemaphorePost)
        Those of unit u are 2u and 2u + 1.
    credit : In(stream of a semaphore's number)
        A count in each cycle; ``ready`` depends on the last post's ``valid``.
    clear : In(1)
        All counts to zero.
    misuse : Out(1), misuse_unit : Out
        A semaphore was misused, and by which unit, or ``units`` by CREDIT. Of several in one cycle
        it is the lower one; when a count leaves its range, the lowest that posted in that cycle, to
        whatever semaphore.
    """

    credit: Any
    clear: Signal
    misuse: Signal
    misuse_unit: Signal

    def __init__(self, config: Config, units: int = 4) -> None:
        self.config = config
        self.units = units
        self.id_bits = max(1, (config.sequencer.semaphores - 1).bit_length())
        super().__init__({
            **{f"wait_{index}": In(SemaphoreWait()) for index in range(units)},
            **{f"post_{index}": In(SemaphorePost()) for index in range(2 * units)},
            "credit": In(stream.Signature(SEMAPHORE_ID_BITS)),
            "clear": In(1),
            "misuse": Out(1),
            "misuse_unit": Out(range(units + 1)),
        })

    @property
    def latency(self) -> int:
        """Cycles from a post to the ``ready`` of whoever waits."""
        return 2 if self.units <= 4 else 3

    def elaborate(self, platform) -> Module:
        m = Module()
        waits = [getattr(self, f"wait_{index}") for index in range(self.units)]
        posts = [getattr(self, f"post_{index}") for index in range(2 * self.units)]

        shared = SemaphorePost().create(path=("shared",))
        m.d.comb += [
            self.credit.ready.eq(~posts[-1].valid),
            shared.valid.eq(posts[-1].valid | self.credit.valid),
            shared.id.eq(Mux(posts[-1].valid, posts[-1].id, self.credit.payload)),
        ]
        # A number that does not exist acts on one that does: it stops the core anyway.
        available = Signal(1 << self.id_bits)
        taken = self._give(m, waits, available)
        overflows = []
        for index in range(self.config.sequencer.semaphores):
            hits = Signal(len(posts), name=f"hits_{index}")
            m.d.sync += hits.eq(
                Cat(
                    post.valid & (post.id[: self.id_bits] == index)
                    for post in (*posts[:-1], shared)
                )
            )
            due = self._count(m, hits, taken[index])
            m.d.comb += available[index].eq(due < 0)
            # Of numbers that are not negative only zero is legal, of the others all but the least.
            overflows.append(due[-1] ^ due[:-1].any())
        self._watch(m, waits, posts, Cat(overflows).any())
        return m

    def _give(self, m: Module, waits: list, available: Value) -> Value:
        """Give one waiter a count; return which has been taken, two cycles later."""
        free: Value = Const(1)
        valid: Value = Const(0)
        number: Value = Const(0)
        for position, wait in enumerate(waits):
            wanted = wait.id[: self.id_bits]
            here = available.bit_select(wanted, 1)
            # Who is given one is found first, and its number chosen in the cycle after.
            given = Signal(name=f"given_{position}")
            asked = Signal(self.id_bits, name=f"asked_{position}")
            m.d.comb += wait.ready.eq(free & here)
            m.d.sync += [given.eq(wait.valid & free & here), asked.eq(wanted)]
            free = free & ~(wait.valid & here)
            valid = valid | given
            number = number | (asked & given.replicate(self.id_bits))
        taken = Signal(1 << self.id_bits)
        m.d.sync += taken.eq(Cat(valid & (number == index) for index in range(len(taken))))
        return taken

    def _count(self, m: Module, hits: Value, taken: Value) -> Signal:
        """Add the counter of one semaphore; return its negative, whose sign tells most."""
        due = Signal(signed(self.config.sequencer.semaphore_bits + 1), name="due")
        change = Signal(range(-len(hits), 2), name="change")
        first, *others = (_minus_population(hits[bit : bit + 4]) for bit in range(0, len(hits), 4))
        # What is taken is a carry between two numbers: one small adder in place of two.
        if len(others) == 1:
            m.d.comb += change.eq(_carry_sum(first, others[0], taken))
            m.d.sync += due.eq(due + change)
        else:
            # Three numbers and the count would be too much for a cycle.
            m.d.sync += [change.eq(sum(others, first)), due.eq(_carry_sum(due, change, taken))]
        with m.If(self.clear):
            m.d.sync += due.eq(0)
        return due

    def _watch(self, m: Module, waits: list, posts: list, overflow: Value) -> None:
        """Keep the first misuse."""
        number = self.config.sequencer.semaphores
        wrong = Signal(self.units + 1)
        posting = Signal(self.units + 1)
        posted: Value = posting  # when its overflow shows
        for _ in range(self.latency - 1):
            later = Signal.like(posting, name="posted")
            m.d.sync += later.eq(posted)
            posted = later
        for unit, wait in enumerate(waits):
            own = posts[2 * unit : 2 * unit + 2]
            unknown = Cat(port.valid & (port.id >= number) for port in (wait, *own))
            m.d.sync += [
                wrong[unit].eq(unknown.any()),
                posting[unit].eq(Cat(post.valid for post in own).any()),
            ]
        given = self.credit.valid & self.credit.ready
        m.d.sync += [
            wrong[self.units].eq(given & (self.credit.payload >= number)),
            posting[self.units].eq(given),
        ]
        with m.If(~self.misuse):
            m.d.sync += self.misuse.eq(wrong.any() | overflow)
            for unit in reversed(range(self.units + 1)):
                with m.If(Mux(wrong.any(), wrong, posted)[unit]):
                    m.d.sync += self.misuse_unit.eq(unit)
        with m.If(self.clear):
            m.d.sync += self.misuse.eq(0)


def _carry_sum(first: Value, second: Value, carry: Value) -> Value:
    """Return the sum of two signed numbers and a bit."""
    return (Cat(1, first).as_signed() + Cat(carry, second).as_signed()) >> 1


def _minus_population(bits: Value) -> Value:
    """Return minus how many of four bits are one, each bit of it from a table of four inputs."""
    a, b, c, d = Cat(bits, Const(0, 4))[:4]
    odd = bits.xor()
    twos = ((a ^ b) & (c ^ d)) ^ (a & b) ^ (c & d)
    return Cat(odd, twos ^ odd, bits.any()).as_signed()
