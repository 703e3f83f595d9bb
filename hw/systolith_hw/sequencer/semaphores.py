"""Counting semaphores, the only order between units."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import SemaphorePost, SemaphoreWait

__all__ = ["SemaphoreFile"]


class SemaphoreFile(wiring.Component):
    """Counting semaphores, the only order between units.

    Any port may name any semaphore, and all ports may in one cycle::

        count' = count + posts - (1 if taken)

    ``available`` is ``count != 0`` in a register of its own, so ``ready`` is a short path; it
    is exact: a count of one is never given twice. Posts are decoded, then counted in the next
    cycle.

    =========== ==========================================================
    Latency     2 cycles from a post to the ``ready`` of whoever waits
    Throughput  1 count per cycle for each waiter
    Errors      ``misuse``, until ``clear``: a semaphore that does not exist,
                a count beyond its range, two waiters given one semaphore in
                one cycle
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``sequencer.semaphores`` and ``sequencer.semaphore_bits``.
    waiters, posters : int
        Ports.

    Members
    -------
    wait_0, wait_1, ... : In(SemaphoreWait)
        ``ready`` depends combinationally on ``id``.
    post_0, post_1, ... : In(SemaphorePost)
    clear : In(1)
        All counts to zero.
    misuse : Out(1), misuse_port : Out
        A semaphore was misused, and the port at fault: waiters come first, then posters. Of two
        ports at fault in one cycle it is the lower one; of several that post in the cycle in
        which a count leaves its range, the lowest of all these.
    """

    clear: Signal
    misuse: Signal
    misuse_port: Signal

    def __init__(self, config: Config, waiters: int = 4, posters: int = 8) -> None:
        self.config = config
        self.waiters = waiters
        self.posters = posters
        super().__init__({
            **{f"wait_{index}": In(SemaphoreWait()) for index in range(waiters)},
            **{f"post_{index}": In(SemaphorePost()) for index in range(posters)},
            "clear": In(1),
            "misuse": Out(1),
            "misuse_port": Out(range(waiters + posters)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        number = self.config.sequencer.semaphores
        waits = [getattr(self, f"wait_{index}") for index in range(self.waiters)]
        posts = [getattr(self, f"post_{index}") for index in range(self.posters)]

        # A number that does not exist acts on one that does: it stops the core anyway.
        bits = max(1, (number - 1).bit_length())
        available = Signal(1 << bits)
        hits = [Signal(number, name=f"hits_{index}") for index in range(self.posters)]
        for hit, post in zip(hits, posts, strict=True):
            m.d.sync += hit.eq(
                Cat(post.valid & (post.id[:bits] == index) for index in range(number))
            )
        for wait in waits:
            m.d.comb += wait.ready.eq(available.bit_select(wait.id[:bits], 1))

        overflows = Signal(number)
        for index in range(number):
            asked = Cat(wait.valid & (wait.id[:bits] == index) for wait in waits).any()
            given = asked & available[index]
            overflow = self._count(m, available[index], Cat(hit[index] for hit in hits), given)
            m.d.comb += overflows[index].eq(overflow)

        self._watch(m, waits, posts, overflows)
        return m

    def _watch(self, m: Module, waits: list, posts: list, overflows: Value) -> None:
        """Keep the first misuse: those of waits and unknown numbers at once, overflows later."""
        number = self.config.sequencer.semaphores
        wrong = Signal(self.waiters + self.posters)
        m.d.sync += wrong.eq(Cat(
            *self._wrong_waits(waits), *(post.valid & (post.id >= number) for post in posts)
        ))  # fmt: skip
        posting = [Signal(self.posters, name=f"posting_{age}") for age in range(2)]
        overflow = Signal(len(overflows))
        m.d.sync += [
            posting[0].eq(Cat(post.valid for post in posts)),
            posting[1].eq(posting[0]),
            overflow.eq(overflows),
        ]
        suspects = Mux(wrong.any(), wrong, Cat(Const(0, self.waiters), posting[1]))
        with m.If(~self.misuse):
            m.d.sync += self.misuse.eq(wrong.any() | overflow.any())
            for port in reversed(range(len(wrong))):
                with m.If(suspects[port]):
                    m.d.sync += self.misuse_port.eq(port)
        with m.If(self.clear):
            m.d.sync += self.misuse.eq(0)

    def _count(self, m: Module, available: Value, posts: Value, given: Value) -> Value:
        """Add the counter of one semaphore; return whether it leaves its range."""
        bits = self.config.sequencer.semaphore_bits
        count = Signal(bits, name="count")
        change = Signal(range(-1, len(posts) + 1), name="change")
        total = Signal(range((1 << bits) + len(posts)), name="total")
        m.d.comb += [change.eq(_population(m, posts) - given), total.eq(count + change)]
        # The same as total != 0, without waiting for the sum.
        more = ~change[-1] & change[:-1].any()
        m.d.sync += [
            count.eq(total),
            available.eq(more | count[1:].any() | (count[0] & ~change[-1])),
        ]
        with m.If(self.clear):
            m.d.sync += [count.eq(0), available.eq(0)]
        return total[bits:].any()

    def _wrong_waits(self, waits: list) -> list[Value]:
        """Return for each waiter whether it asks for what it must not have."""
        wrong = []
        for index, wait in enumerate(waits):
            same = [
                wait.valid & wait.ready & other.valid & (wait.id == other.id)
                for other in waits[:index]
            ]
            unknown = wait.valid & (wait.id >= self.config.sequencer.semaphores)
            wrong.append(unknown | Cat(same).any())
        return wrong


def _population(m: Module, bits: Value) -> Signal:
    """Return how many of ``bits`` are one: four at a time from tables of four inputs."""
    total = Signal(len(bits).bit_length(), name="population")
    tables = []
    for first in range(0, len(bits), 4):
        four = Cat(bits[first : first + 4], Const(0, 4))
        table = Signal(3, name="table")
        a, b, c, d = four[0], four[1], four[2], four[3]
        twos = ((a ^ b) & (c ^ d)) ^ (a & b) ^ (c & d)
        m.d.comb += table.eq(Cat(a ^ b ^ c ^ d, twos, a & b & c & d))
        tables.append(table)
    m.d.comb += total.eq(sum(tables[1:], tables[0]))
    return total
