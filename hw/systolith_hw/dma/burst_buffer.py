"""Hold the beats of STORE until their burst is whole, then ask for it and send them."""

from typing import Any

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import request, write_beat
from .page_shape import PageShape
from .pages import beat_write
from .requester import burst

__all__ = ["BurstBuffer"]


class BurstBuffer(wiring.Component):
    """Collect the beats of each burst, then request it and send them without a pause.

    ::

        write ──►[ memory, a ring of beats ]──► data
                     read   gathered   limit
        bursts ──►[ limit - gathered >= length? ]──► request

    So the bus never waits for a semaphore or a slow source. A run with fewer beats of data than
    the descriptor says is padded with zeros: when no beat is left, a place of the memory is read
    that holds zeros.

    =========== ==========================================================
    Latency     3 cycles from ``limit`` to a request; data follow 2 cycles
                after that is accepted
    Throughput  1 beat per cycle, from burst to burst; bursts of one or two
                beats 1 in 3 cycles
    Stall       no combinational path leads through, but from ``request``
                to ``bursts``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        The one description.

    Members
    -------
    write : In(:func:`~systolith_hw.dma.pages.beat_write`)
        Into the memory, between ``limit`` and ``read``.
    limit : In(range(depth))
        Beats before it are complete, from the second cycle on.
    ended : In(1), end_taken : Out(1)
        A run ends at the limit; that burst has been gathered, in the cycle before, and the limit
        may go on.
    read : Out(range(depth))
        The next beat to be read.
    bursts : In(stream of :func:`~systolith_hw.dma.requester.burst`)
        What to gather; taken when memory accepts the request.
    request, data : Out(streams)
        To memory.
    hold : In(1)
        Ask for no burst that ends a transfer.
    stop : In(1)
        Gather nothing; requests already on offer stay, and their data are sent.
    overrun : Out(1)
        The run has more data than beats; its last burst is not requested.
    """

    write: data.View
    limit: Signal
    ended: Signal
    end_taken: Signal
    read: Signal
    bursts: stream.Interface
    request: stream.Interface
    data: stream.Interface
    hold: Signal
    stop: Signal
    overrun: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        self.shape = PageShape(config)
        super().__init__({
            "write": In(beat_write(config)),
            "limit": In(self.shape.pointer_bits),
            "ended": In(1),
            "end_taken": Out(1),
            "read": Out(self.shape.pointer_bits),
            "bursts": In(stream.Signature(burst(config))),
            "request": Out(stream.Signature(request(config))),
            "data": Out(stream.Signature(write_beat(config))),
            "hold": In(1),
            "stop": In(1),
            "overrun": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        # What is decided here is true of registers: of a burst that has been on offer for a cycle,
        # and of the limit two cycles before.
        burst: Any = self.bursts.p.mark
        run_end = Signal()
        last_run = Signal()
        minus = Signal(signed(len(burst.last) + 1))  # the burst's beats: to add it is to subtract
        less = Signal.like(minus)
        seen = Signal()
        ready = Signal.like(self.limit)
        ended = Signal()
        over = Signal()
        spare = Signal(signed(len(ready) + 1))  # beats beyond the burst
        gathered = Signal.like(self.limit)
        gather = Signal()
        m.d.comb += less.eq(Cat(~burst.last, 1))
        m.d.sync += [
            minus.eq(less),
            run_end.eq(burst.run_end),
            last_run.eq(burst.last_run),
            seen.eq(self.bursts.valid & ~self.bursts.ready),
            ready.eq(self.limit - gathered),
            ended.eq(self.ended & ~self.end_taken),
            spare.eq(ready + less),
            over.eq(ended),
            self.end_taken.eq(gather & run_end),
        ]

        short = spare[-1]
        exact = Signal()
        looking = Signal()
        offered = Signal()
        padding = Signal()
        m.d.comb += [
            exact.eq(over & (spare == 0)),
            looking.eq(seen & ~offered & ~padding & ~self.stop),
            gather.eq(
                looking & ~(self.hold & run_end & last_run)
                & ((over & short) | exact | ~(short | run_end))
            ),
        ]  # fmt: skip
        m.d.sync += self.overrun.eq(looking & run_end & ~short & ~exact)
        busy = self._elaborate_send(m, gathered, offered)
        # What a padded burst finds in the memory ends with its own beats, so nothing may follow.
        with m.If(gather):
            m.d.sync += [
                offered.eq(1),
                padding.eq(short),
                gathered.eq(Mux(short, self.limit, gathered - minus)),
            ]
        with m.Elif(~busy):
            m.d.sync += padding.eq(0)
        return m

    def _elaborate_send(self, m: Module, gathered: Value, offered: Signal) -> Value:
        """Offer requests; send the beats of those that were accepted; return "not all sent"."""
        beats = range(self.config.bus.burst_beats)
        waiting = Signal()  # accepted, but its data cannot start yet
        waiting_last = Signal(beats)
        left = Signal(beats)
        accepted = Signal()
        taken = Signal()
        done = Signal()
        mark = self.bursts.p.mark
        m.d.comb += [
            self.request.valid.eq(offered & ~waiting),
            self.request.p.address.eq(self.bursts.p.address),
            self.request.p.last.eq(mark.last),
            accepted.eq(self.request.valid & self.request.ready),
            self.bursts.ready.eq(accepted),
            self.data.p.strobe.eq(~0),
            self.data.p.last.eq(left == 0),
            taken.eq(self.data.valid & self.data.ready),
            done.eq(taken & self.data.p.last),
        ]
        self._elaborate_memory(m, gathered, taken)

        with m.If(accepted | (self.stop & waiting)):
            m.d.sync += offered.eq(0)
        with m.If(taken):
            m.d.sync += left.eq(left - 1)
        with m.If(done):
            m.d.sync += self.data.valid.eq(0)
        with m.If(waiting & (~self.data.valid | done)):
            m.d.sync += [waiting.eq(0), self.data.valid.eq(1), left.eq(waiting_last)]
        with m.If(accepted):
            m.d.sync += [waiting.eq(1), waiting_last.eq(mark.last)]
        return offered | waiting | self.data.valid

    def _elaborate_memory(self, m: Module, gathered: Value, taken: Value) -> None:
        """Keep the next beat, or zeros if there is none, in the memory's read register."""
        width, empty_beat = len(self.write.data), self.shape.depth
        attrs: Any = {"no_rw_check": 1}
        store: Any = memory.Memory(shape=width, depth=empty_beat + 1, init=[], attrs=attrs)
        m.submodules.memory = store
        write = store.write_port(granularity=width // len(self.write.enable))
        port = store.read_port()

        held = Signal()
        empty = Signal()
        m.d.comb += [
            empty.eq(self.read == gathered),
            write.addr.eq(Cat(self.write.address, self.write.clear)),
            write.data.eq(self.write.data),
            write.en.eq(self.write.enable | self.write.clear.replicate(len(write.en))),
            port.addr.eq(Mux(empty, empty_beat, self.read)),
            port.en.eq(~held | taken),
            self.data.p.data.eq(port.data),
        ]
        with m.If(port.en):
            m.d.sync += [held.eq(~empty), self.read.eq(self.read + ~empty)]
