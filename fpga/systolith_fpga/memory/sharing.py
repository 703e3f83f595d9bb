"""Several clients on one memory: whole bursts, one after the other."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.config import Config, ConfigError
from systolith_hw.interfaces import WritePort, request

from .choice import BurstChoice
from .client_shapes import ReadClient
from .read_return import ReadReturn
from .read_router import ReadRouter
from .sdram_shapes import BurstPort
from .write_gather import WriteGather

__all__ = ["Sharing"]


class Sharing(wiring.Component):
    """Put the bursts of several clients into one order, and bring each its answers.

    ::

        readers ──► room for all beats? ──┐
                                          ├──► choice ──► memory.request
        writers ──► all beats there? ─────┘         └──► memory.write, response
        readers ◄── queue of each ◄── router ◄────────── memory.read

    A burst takes effect where it stands in the order. A write's response says that it stands
    there, so all reads that are asked for after it see its data. A burst that begins beyond the
    memory never reaches it: each of its beats is an error, or its response is.

    Reader 0 goes first, but not twice in a row while others wait; those take turns.

    =========== ==========================================================
    Latency     3 cycles from a read's request to ``memory.request``; from
                ``memory.read`` to the client 4
    Throughput  1 beat per cycle; a read in 4 cycles, a write in 3
                and its beats
    Stall       a read waits while more than ``ahead`` beats are under way
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        The bus of all clients.
    memory_bits : int
        Bits of a byte address of the memory.
    readers, writers : sequence of int
        For each client, the beats that it keeps room for; at least its longest burst.
    ahead : int
        Beats under way with which another read may begin: as many as hide the way to memory. What
        is more only makes reader 0 wait.

    Members
    -------
    readers : In(ReadClient), one for each
        Reading clients.
    writers : In(WritePort), one for each
        Writing clients.
    memory : Out(BurstPort)
        The memory.
    """

    readers: Any
    writers: Any
    memory: Any

    def __init__(
        self, config: Config, memory_bits: int, *, readers: tuple[int, ...],
        writers: tuple[int, ...], ahead: int,
    ) -> None:  # fmt: skip
        longest = config.bus.burst_beats
        for name, depths in (("readers", readers), ("writers", writers)):
            if not depths or min(depths) < longest:
                raise ConfigError(
                    f"{name} keep room for {', '.join(map(str, depths)) or 'nothing'} beats, but a "
                    f"burst of bus.burst_beats has {longest}"
                )
        self.config = config
        self.memory_bits = memory_bits
        self.depths = readers, writers
        self.ahead = ahead
        super().__init__({
            "readers": In(ReadClient(config)).array(len(readers)),
            "writers": In(WritePort(config)).array(len(writers)),
            "memory": Out(BurstPort(memory_bits, config.bus.data_bytes)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        reads = [ReadReturn(self.config, depth) for depth in self.depths[0]]
        writes = [WriteGather(self.config, depth) for depth in self.depths[1]]
        m.submodules.router = router = ReadRouter(self.config, len(reads))
        m.submodules.choice = choice = BurstChoice(len(reads) + len(writes))
        for index, part in enumerate(reads):
            m.submodules[f"read_{index}"] = part
            connect(m, flipped(self.readers[index]), part.client)
            connect(m, router.returned[index], part.beats)
        for index, gather in enumerate(writes):
            m.submodules[f"write_{index}"] = gather
            connect(m, flipped(self.writers[index]), gather.client)
        connect(m, flipped(self.memory.read), router.beats)
        under_way = Signal(range(self.ahead + self.config.bus.burst_beats + 1))
        room = Signal()
        m.d.comb += choice.wishes.eq(
            Cat(*(part.asked.valid & room for part in reads), *(p.asked.valid for p in writes))
        )
        added = self._elaborate_order(m, choice, reads, writes, router)
        m.d.sync += [
            under_way.eq(under_way + added - router.moved),
            room.eq((under_way <= self.ahead) & router.orders.ready),
        ]
        return m

    def _elaborate_order(self, m: Module, choice, reads, writes, router) -> Value:
        """Ask memory for one burst after the other; return the beats that come to be under way."""
        parts = [*reads, *writes]
        memory, ask = self.memory, self.memory.request
        item: Any = Signal(request(self.config))
        chosen = Signal(range(len(parts)))
        is_write, beyond, able = Signal(), Signal(), Signal()
        left = Signal(8)
        takes, ordered, moves, moved = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            is_write.eq(chosen >= len(reads)),
            able.eq(is_write | router.orders.ready),
            beyond.eq(item.address[self.memory_bits :].any()),
            ask.p.address.eq(item.address),
            ask.p.last.eq(item.last),
            ask.p.write.eq(is_write),
            router.orders.p.reader.eq(chosen),
            router.orders.p.last.eq(item.last),
            router.orders.p.error.eq(beyond),
            router.orders.valid.eq(ordered & ~is_write),
        ]
        with m.Switch(chosen):
            for index, part in enumerate(parts):
                with m.Case(index):
                    m.d.comb += part.asked.ready.eq(takes)
                    with m.If(takes):
                        m.d.sync += item.eq(part.asked.payload)
        with m.FSM():
            with m.State("choose"):
                m.d.comb += choice.take.eq(1)
                m.d.sync += chosen.eq(choice.winner)
                with m.If(choice.wishes.any()):
                    m.next = "take"
            with m.State("take"):
                m.d.comb += takes.eq(1)
                m.next = "order"
            with m.State("order"):
                m.d.comb += [ask.valid.eq(able & ~beyond), ordered.eq(able & (beyond | ask.ready))]
                m.d.sync += left.eq(item.last)
                with m.If(ordered):
                    m.next = "count"
                    with m.If(is_write):
                        m.next = "move"
            with m.State("count"):  # what is under way, before the next choice looks at it
                m.next = "choose"
            with m.State("move"):
                m.d.comb += moves.eq(1)
                m.d.sync += left.eq(left - moved)
                with m.If(moved & (left == 0)):
                    m.next = "choose"
        with m.Switch(chosen):
            for index, part in enumerate(writes, len(reads)):
                with m.Case(index):
                    m.d.comb += [
                        memory.write.valid.eq(moves & part.beats.valid & ~beyond),
                        memory.write.payload.eq(part.beats.payload),
                        part.beats.ready.eq(moves & (memory.write.ready | beyond)),
                        moved.eq(part.beats.valid & part.beats.ready),
                        part.answered.eq(ordered),
                        part.error.eq(beyond),
                    ]
        return Mux(ordered & ~is_write, item.last + 1, 0)
