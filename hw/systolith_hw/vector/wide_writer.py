"""What goes to wide memory, and the semaphores that tell of it."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import SemaphorePost, wide_write
from ..isa import SLOT_BITS
from ..sequencer.permit import semaphore
from .ages import Ages
from .beat import POSTS
from .best_channel import BestChannel, best_begin

__all__ = ["WideWriter", "wide_beat"]

LAG = 1
"""Cycles from a wide word's being written to its semaphores. Whoever takes them reads the word, or
its row's reference, which is written 5 cycles later, some cycles after that."""


def wide_beat(config: Config) -> data.StructLayout:
    """Return the shape of a beat's values, and what of :func:`~.beat.beat` matters here.

    ``tells``: nothing is written, but semaphores are given. ``keep``: lanes that exist. ROW's beats
    give no semaphores here.
    """
    write: Any = wide_write(config)
    return data.StructLayout({
        "to_wide": 1, "to_best": 1, "sample": 1, "tells": 1, "row_end": 1,
        "wide": write["address"].shape,
        "data": write["data"].shape,
        "keep": config.vector.lanes,
        **dict.fromkeys(POSTS, semaphore()),
    })  # fmt: skip


class WideWriter(wiring.Component):
    """Write values, or of BEST the number of the best channel so far in place of a group's values,
    or of SAMPLE that of the channel which the sampler chose.

    ::

        i ─┬──────────────────────────────────────────►┬─► wide
           └─►[ BestChannel ]─┬► when no values are ──►┘
        chosen ───────────────┘   written

    Numbers wait for a cycle without values to write, of which there is one with each beat of BEST.
    That of SAMPLE comes when nothing of VECTOR is under way.

    =========== ====================================================
    Latency     none; semaphores are given a cycle later
    Throughput  1 beat per cycle; never stalls
    Golden      WIDE and BEST in :mod:`systolith_sim.machine.vector.destinations`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes.

    Members
    -------
    begin : In(best_begin())
        An instruction of BEST begins; nothing of another one is here.
    i : In(stream of wide_beat(config), always ready)
        Values.
    chosen : In(stream of 16 bits)
        The sampler's number, some time behind a beat of SAMPLE.
    wide : Out(stream of wide_write(config), always ready)
        What is written.
    post_inner, post_outer : Out(SemaphorePost)
        Of VECTOR.
    number : Out(16), number_told : Out(1)
        The number that was written last, and that it was in the cycle before.
    settled : Out(1)
        All numbers that follow from beats that have come are written, and told.
    empty : Out(1)
        Everything is.
    """

    begin: data.View
    i: stream.Interface
    chosen: stream.Interface
    wide: stream.Interface
    post_inner: Any
    post_outer: Any
    number: Signal
    number_told: Signal
    settled: Signal
    empty: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "begin": In(best_begin()),
            "i": In(stream.Signature(wide_beat(config), always_ready=True)),
            "chosen": In(stream.Signature(SLOT_BITS)),
            "wide": Out(stream.Signature(wide_write(config), always_ready=True)),
            **{name: Out(SemaphorePost()) for name in POSTS},
            "number": Out(SLOT_BITS),
            "number_told": Out(1),
            "settled": Out(1),
            "empty": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.best = best = BestChannel(self.config)
        i: Any = self.i.payload
        values, tells, compared, number = Signal(), Signal(), Signal(), Signal()
        found = Mux(self.chosen.valid, self.chosen.payload, best.o.payload)
        # Where the number goes is the same for all groups of an instruction, and so are its posts.
        group: Any = Signal.like(i, name="group", reset_less=True)
        with m.If((compared | (self.i.valid & i.sample)) & i.row_end):
            m.d.sync += group.eq(i)
        m.d.comb += [
            values.eq(self.i.valid & i.to_wide),
            tells.eq(self.i.valid & i.tells),
            compared.eq(self.i.valid & i.to_best),
            best.begin.eq(self.begin),
            best.i.valid.eq(compared),
            best.i.payload.values.eq(i.data),
            best.i.payload.keep.eq(i.keep),
            best.i.payload.last.eq(i.row_end),
            best.o.ready.eq(~values & ~tells),
            self.chosen.ready.eq(best.o.ready),
            number.eq((best.o.valid | self.chosen.valid) & best.o.ready),
            self.wide.valid.eq(values | number),
            # What nobody writes may be anything, and values are known sooner than a number is.
            self.wide.payload.address.eq(Mux(values, i.wide, group.wide)),
            self.wide.payload.data.as_value().eq(Mux(values, i.data.as_value(), found)),
        ]
        m.d.sync += self.number_told.eq(number)
        with m.If(number):
            m.d.sync += self.number.eq(found)
        told = self._elaborate_posts(m, tells, number, i, group)
        numbers = Signal(LAG)  # bit n: one was written n + 1 cycles ago
        m.d.sync += numbers.eq(Cat(number, numbers))
        m.d.comb += [
            self.settled.eq(best.empty & ~numbers.any()),
            self.empty.eq(best.empty & told),
        ]
        return m

    def _elaborate_posts(
        self, m: Module, tells: Value, number: Value, i: Any, group: Any
    ) -> Value:
        """Give semaphores; return whether those of no word still wait."""
        valid = Signal(LAG)  # bit n: a word was written, or would have been, n + 1 cycles ago
        m.d.sync += valid.eq(Cat(self.wide.valid | tells, valid))
        posts = Ages(m, {
            name: Mux(number, group[name].as_value(), i[name].as_value()) for name in POSTS
        })
        for name in POSTS:
            post: Any = semaphore()(posts.at(name, LAG))
            port = getattr(self, name)
            m.d.comb += [port.valid.eq(valid[-1] & post.present), port.id.eq(post.id)]
        return ~valid.any()
