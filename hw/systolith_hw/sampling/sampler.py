"""Gather the largest of all values that go by, then choose one of them by chance."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..isa import SLOT_BITS
from ..stream.fifo import Fifo
from .candidate import sampler_beat, task
from .candidate_heap import CandidateHeap
from .choice import Choice

__all__ = ["BEATS", "Sampler"]

BEATS = 8
"""Beats that may be on their way, or wait; in a queue of so many more that nobody ever waits."""
SPARE_BEATS = 4


class Sampler(wiring.Component):
    """Do what CANDIDATES and SAMPLE do with values.

    ::

        i ──►[ Fifo of beats ]─┬─►[ a value per cycle ]──►[ CandidateHeap ]
                               │                               │ node by node
                               └── sample ───────────────►[  Choice  ]──► o

    Values wait here while one of them sinks in the heap. Whoever sends beats asks for ``room``
    before, since they come through a pipeline that cannot wait.

    =========== ====================================================
    Latency     of SAMPLE, behind its last candidate: see :class:`.Choice`
    Throughput  a value per cycle, less those that a kept one takes: see :class:`.CandidateHeap`
    Stall       ``room`` and ``o.valid`` come from registers
    Golden      :func:`systolith_sim.vector.sampler.choose`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Lanes; ``vector.candidates`` is not zero.
    target : str
        "generic", "ecp5" or "ice40": for the multiplier.

    Members
    -------
    begin : In(task())
        An instruction begins; everything before it is done, see ``empty``.
    room : Out(1), spent : In(1)
        There is room for a beat; one has been sent that will come.
    i : In(stream of sampler_beat(config), always ready)
        Beats, a number for each lane, whether its value is there or not.
    o : Out(stream of 16 bits)
        The number that SAMPLE chose.
    empty : Out(1)
        All that came is done, and taken.
    """

    begin: data.View
    room: Signal
    spent: Signal
    i: stream.Interface
    o: stream.Interface
    empty: Signal

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        super().__init__({
            "begin": In(task()),
            "room": Out(1),
            "spent": In(1),
            "i": In(stream.Signature(sampler_beat(config), always_ready=True)),
            "o": Out(stream.Signature(SLOT_BITS)),
            "empty": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.fifo = fifo = Fifo(
            sampler_beat(self.config), BEATS + SPARE_BEATS, style="distributed"
        )
        m.submodules.heap = heap = CandidateHeap(self.config.vector.candidates)
        m.submodules.choice = choice = Choice(self.config, self.target)
        connect(m, choice.o, flipped(self.o))
        begin: Any = self.begin
        with m.If(begin.samples):
            m.d.sync += [
                getattr(choice, name).eq(begin[name])
                for name in ("seed", "position", "sharpness")
            ]
        m.d.comb += [
            fifo.i.valid.eq(self.i.valid),
            fifo.i.payload.eq(self.i.payload),
            heap.clear.eq(begin.gathers & begin.anew),
            heap.most.eq(begin.most),
            heap.node.eq(choice.node),
            choice.size.eq(heap.size),
            choice.found.eq(heap.found),
            choice.entry.eq(heap.entry),
        ]
        left = self._elaborate_lanes(m, fifo, heap, choice)
        self._elaborate_room(m, fifo)
        m.d.comb += self.empty.eq(fifo.empty & ~left.any() & heap.idle & choice.idle)
        return m

    def _elaborate_lanes(
        self, m: Module, fifo: Fifo, heap: CandidateHeap, choice: Choice
    ) -> Signal:
        """Give lane after lane to the heap, or let the choice begin; return the lanes to come."""
        lanes = self.config.vector.lanes
        beat: Any = Signal(sampler_beat(self.config), reset_less=True)
        left = Signal(range(lanes + 1))
        number = Signal(SLOT_BITS, reset_less=True)
        free, moves = Signal(), Signal()
        coming: Any = fifo.o.payload
        m.d.comb += [
            free.eq(~left.any()),
            heap.i.valid.eq(left.any() & beat.keep[0]),
            heap.i.payload.value.eq(beat.values[0]),
            heap.i.payload.number.eq(number),
            moves.eq(left.any() & (heap.i.ready | ~beat.keep[0])),
            choice.start.eq(fifo.o.valid & coming.sample & free & heap.idle & choice.idle),
            fifo.o.ready.eq(Mux(coming.sample, choice.start, free)),
        ]
        with m.If(fifo.o.valid & free & ~coming.sample):
            m.d.sync += [beat.eq(coming), left.eq(lanes)]
        with m.Elif(moves):
            m.d.sync += [
                beat.values.as_value().eq(beat.values.as_value() >> len(beat.values[0])),
                beat.keep.eq(beat.keep >> 1), left.eq(left - 1), number.eq(number + 1),
            ]  # fmt: skip
        with m.If(self.begin.gathers):
            m.d.sync += number.eq(self.begin.channel)
        return left

    def _elaborate_room(self, m: Module, fifo: Fifo) -> None:
        """Count the beats that may still be sent."""
        credits, credit = Signal(range(BEATS + 1), init=BEATS), Signal(init=1)
        freed = fifo.o.valid & fifo.o.ready
        m.d.sync += [
            credits.eq(credits - self.spent + freed),
            credit.eq(credits[1:].any() | (credits[0] & ~self.spent) | freed),
        ]
        m.d.comb += self.room.eq(credit)
