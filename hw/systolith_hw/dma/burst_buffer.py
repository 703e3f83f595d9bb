"""Gather whole bursts before they are asked for."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import request, write_beat
from ..stream.fifo import Fifo
from .requester import burst

__all__ = ["BurstBuffer"]


class BurstBuffer(wiring.Component):
    """Collect the beats of each burst, then request it and send them without a pause.

    ::

        beats ──►[ queue of two bursts ]──► data
        bursts ──►[ count to its length ]──►[ request ]──► request
                                                └──► lengths of this burst and the next

    So the bus never waits for a semaphore or a slow source. A run with fewer beats of data than
    the descriptor says is padded with zeros.

    =========== ==========================================================
    Latency     1 cycle from the last beat of a burst to its request; data
                follow 2 cycles after that is accepted
    Throughput  1 beat per cycle, from burst to burst; bursts of one beat
                1 in 2 cycles
    Stall       no combinational path leads through
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``.

    Members
    -------
    bursts : In(stream of :func:`~systolith_hw.dma.requester.burst`)
        What to gather; taken with the last beat.
    beats : In(stream of ``data``, ``last``)
        Beats; ``last`` ends a run.
    request, data : Out(streams)
        To memory.
    hold : In(1)
        Do not complete the burst.
    stop : In(1)
        Gather nothing; requests already on offer stay, and their data are sent.
    overrun : Out(1)
        The run has more data than beats; its last burst is not requested.
    """

    bursts: stream.Interface
    beats: stream.Interface
    request: stream.Interface
    data: stream.Interface
    hold: Signal
    stop: Signal
    overrun: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        beat = data.StructLayout({"data": config.bus.data_bytes * 8, "last": 1})
        super().__init__({
            "bursts": In(stream.Signature(burst(config))),
            "beats": In(stream.Signature(beat)),
            "request": Out(stream.Signature(request(config))),
            "data": Out(stream.Signature(write_beat(config))),
            "hold": In(1),
            "stop": In(1),
            "overrun": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.config.bus
        m.submodules.queue = queue = Fifo(bus.data_bytes * 8, max(2 * bus.burst_beats, 4))

        full = Signal()  # a request waits
        count = Signal(range(bus.burst_beats))
        padding = Signal()
        final = Signal()
        run_final = Signal()
        ended = Signal()
        push = Signal()
        allowed = Signal()
        m.d.comb += [
            final.eq(count == self.bursts.p.last),
            run_final.eq(final & self.bursts.p.run_end),
            ended.eq(padding | self.beats.p.last),
            self.overrun.eq(self.bursts.valid & self.beats.valid & run_final & ~ended),
            allowed.eq(
                self.bursts.valid & ~self.stop & ~self.overrun
                & ~(final & (self.hold | full))
            ),
            queue.i.payload.eq(Mux(padding, 0, self.beats.p.data)),
            queue.i.valid.eq(allowed & (padding | self.beats.valid)),
            push.eq(queue.i.valid & queue.i.ready),
            self.beats.ready.eq(allowed & queue.i.ready & ~padding),
            self.bursts.ready.eq(push & final),
        ]  # fmt: skip
        with m.If(push):
            m.d.sync += [
                count.eq(Mux(final, 0, count + 1)),
                padding.eq(ended & ~run_final),
            ]

        self._elaborate_send(m, full, queue)
        return m

    def _elaborate_send(self, m: Module, full: Signal, queue: Fifo) -> None:
        """Offer requests; let the beats of those that were accepted go."""
        beats = range(self.config.bus.burst_beats)
        waiting = Signal()  # accepted, but its data cannot start yet
        waiting_last = Signal(beats)
        sending = Signal()
        left = Signal(beats)
        done = Signal()
        accepted = Signal()
        m.d.comb += [
            self.request.valid.eq(full & ~waiting),
            accepted.eq(self.request.valid & self.request.ready),
            self.data.valid.eq(sending & queue.o.valid),
            self.data.p.data.eq(queue.o.payload),
            self.data.p.strobe.eq(~0),
            self.data.p.last.eq(left == 0),
            queue.o.ready.eq(sending & self.data.ready),
            done.eq(self.data.valid & self.data.ready & self.data.p.last),
        ]

        with m.If(accepted | (self.stop & waiting)):
            m.d.sync += full.eq(0)
        with m.If(self.bursts.ready):
            m.d.sync += [
                full.eq(1),
                self.request.p.address.eq(self.bursts.p.address),
                self.request.p.last.eq(self.bursts.p.last),
            ]
        with m.If(self.data.valid & self.data.ready):
            m.d.sync += left.eq(left - 1)
        with m.If(done):
            m.d.sync += sending.eq(0)
        with m.If(waiting & (~sending | done)):
            m.d.sync += [waiting.eq(0), sending.eq(1), left.eq(waiting_last)]
        with m.If(accepted):
            m.d.sync += [waiting.eq(1), waiting_last.eq(self.request.p.last)]
