"""Counting semaphores in a memory, that is visited in turn."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ...config import Config
from ...interfaces import SEMAPHORE_ID_BITS, SemaphorePost, SemaphoreWait

__all__ = ["PERIOD", "SerialSemaphores"]

UNITS = 4
VISITS = 3 * UNITS
PERIOD = 2 * VISITS
"""Cycles from one visit of a port to the next."""


class SerialSemaphores(wiring.Component):
    """What :class:`~systolith_hw.sequencer.semaphores.SemaphoreFile` is, for few logic cells.

    A scan visits the ports in turn, for two cycles each: in one it reads the count of the port's
    semaphore, in the other it writes what follows from it. Posts are tallied beside their port
    between its visits. ::

        post ──►[ tally ]──►(+)──► counts ──┐
                             ▲              │
        wait ──► one less ───┴──────────────┘

    So a post may name another semaphore only ``PERIOD`` cycles after the last of the one before;
    instructions that stand see to that.

    =========== ==========================================================
    Latency     up to 2 ``PERIOD`` from a post to the ``ready`` of whoever waits
    Throughput  1 count in ``PERIOD`` cycles for each waiter; any number of posts
    Errors      ``misuse``, until ``clear``: a semaphore that does not exist,
                a count beyond its range
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``sequencer.semaphores`` and ``sequencer.semaphore_bits``.

    Members
    -------
    wait_0, wait_1, ... : In(SemaphoreWait)
        ``valid`` and ``id`` stay until ``ready``, which comes from registers.
    post_0, post_1, ... : In(SemaphorePost)
        Those of unit u are 2u and 2u + 1.
    clear : In(1)
        All counts to zero, within 40 cycles, in which nobody may wait or post.
    misuse : Out(1), misuse_unit : Out(range(4))
        A semaphore was misused, and by which unit.
    idle : Out(1)
        All posts are counted, and ``misuse`` tells of them.
    """

    clear: Signal
    misuse: Signal
    misuse_unit: Signal
    idle: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            **{f"wait_{index}": In(SemaphoreWait()) for index in range(UNITS)},
            **{f"post_{index}": In(SemaphorePost()) for index in range(2 * UNITS)},
            "clear": In(1),
            "misuse": Out(1),
            "misuse_unit": Out(range(UNITS)),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        waits: list[Any] = [getattr(self, f"wait_{index}") for index in range(UNITS)]
        # Visited are all waits, then the first post of each unit, then the second.
        posts: list[Any] = [
            getattr(self, f"post_{2 * index + second}")
            for second in range(2) for index in range(UNITS)
        ]  # fmt: skip
        visit = Signal(range(16))
        writing = Signal()  # the second cycle of the visit
        clearing = Signal()
        unit, is_post = visit[:2], visit[2:].any()
        self._scan(m, visit, writing, clearing)
        number = Array([port.id for port in (*waits, *posts)])[visit]
        count, store = self._store(m, Mux(clearing, visit, number), writing)

        waiting = Signal()  # since the first cycle of the visit
        granted = Signal()
        tally = self._tally(m, posts, visit, writing)
        total = Signal(max(len(count), len(tally)) + 1)
        m.d.comb += [
            granted.eq(waiting & count.any()),
            total.eq(count + Mux(is_post, tally, granted.replicate(len(count)))),
            store.data.eq(Mux(clearing, 0, total)),
            # Without a change, the port may name another semaphore in the second cycle.
            store.en.eq(writing & (clearing | granted | (is_post & tally.any()))),
        ]
        m.d.sync += waiting.eq(~is_post & Array([wait.valid for wait in waits])[unit])
        for index, wait in enumerate(waits):
            m.d.comb += wait.ready.eq(writing & granted & (unit == index))

        unknown = (waiting | (is_post & tally.any())) & (number >= self.config.sequencer.semaphores)
        wrong = unknown | (is_post & total[len(count) :].any())
        with m.If(writing & wrong & ~clearing & ~self.misuse):
            m.d.sync += [self.misuse.eq(1), self.misuse_unit.eq(unit)]
        with m.If(self.clear):
            m.d.sync += self.misuse.eq(0)
        return m

    def _scan(self, m: Module, visit: Signal, writing: Signal, clearing: Signal) -> None:
        """Visit the ports, or after a clear, all sixteen counts."""
        m.d.sync += writing.eq(~writing)
        with m.If(writing):
            m.d.sync += visit.eq(visit + 1)
            with m.If(visit == Mux(clearing, 15, VISITS - 1)):
                m.d.sync += [visit.eq(0), clearing.eq(0)]
        with m.If(self.clear):
            m.d.sync += [visit.eq(0), writing.eq(0), clearing.eq(1)]

    def _store(self, m: Module, address: Value, writing: Value) -> tuple[Value, Any]:
        """Keep the counts; return the one that was read, and where they are written."""
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        counts: memory.Memory = memory.Memory(
            shape=unsigned(self.config.sequencer.semaphore_bits), depth=1 << SEMAPHORE_ID_BITS,
            init=[], attrs=attrs,
        )  # fmt: skip
        m.submodules.counts = counts
        write, read = counts.write_port(), counts.read_port()
        m.d.comb += [
            write.addr.eq(address),
            read.addr.eq(address),
            read.en.eq(~writing),
        ]
        return read.data, write

    def _tally(self, m: Module, posts: list[Any], visit: Value, writing: Value) -> Value:
        """Count the posts of each port since its last visit; return those of the port visited."""
        tallies = [Signal(range(PERIOD + 1), name=f"tally_{i}") for i in range(len(posts))]
        m.d.comb += self.idle.eq(~Cat(*tallies, *(post.valid for post in posts)).any())
        for index, (post, tally) in enumerate(zip(posts, tallies, strict=True)):
            taken = writing & (visit == UNITS + index)
            m.d.sync += tally.eq(Mux(taken, 0, tally) + post.valid)
            with m.If(self.clear):
                m.d.sync += tally.eq(0)
        none = [Const(0, len(tallies[0]))] * UNITS
        return Array([*none, *tallies])[visit]
