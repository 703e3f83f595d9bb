"""The second half of LOAD: turn beats into elements and write them on chip."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..code_pages import code_pages
from ..config import Config
from ..interfaces import (
    PC_BITS,
    SemaphorePost,
    read_beat,
    row_write,
    scale_stream,
    wide_write,
    word_write,
)
from ..isa import LoadKind
from ..sequencer.permit import semaphore
from ..stream.spare import Spare
from .codec import Codec
from .elements import element_bytes, written_bytes
from .landing import Landing
from .marks import beat_mark
from .ring import Ring, address_bits, ring_fields
from .run_counter import RunCounter, run_fields
from .splitter import Splitter

__all__ = ["Writer", "failures", "placement"]


def failures() -> data.StructLayout:
    """Return the shape of what can go wrong: no ring, a read error, too few beats."""
    return data.StructLayout({"illegal": 1, "error": 1, "short": 1})


def placement(config: Config) -> data.StructLayout:
    """Return the shape of what the writer knows of a LOAD."""
    return data.StructLayout({
        "runs": run_fields(config),
        "ring": ring_fields(config),
        "lane": range(config.array.columns),
        "post_inner": semaphore(),
        "post_outer": semaphore(),
        "pc": PC_BITS,
    })


def _landed(config: Config) -> data.StructLayout:
    """Return the shape of a piece on its way to the landing, with what is known of it."""
    return data.StructLayout({
        "piece": min(config.bus.data_bytes, max(written_bytes(config).values())) * 8,
        "header": 1,
        "offer": 1,
        "kind": 3,
        "lane": range(config.array.columns),
        "group": row_write(config)["group"].shape,
        "part": range(config.vector.lanes // config.scale_write_lanes),
        "post_inner": semaphore(),
        "post_outer": semaphore(),
    })


def _piece() -> data.StructLayout:
    """Return the shape of what is known of a piece: a read error in its beat, and what it is."""
    return data.StructLayout({"error": 1, "mark": beat_mark()})


class Writer(wiring.Component):
    """Turn the beats of LOADs into elements, and write each where it belongs.

    ::

        beats ──►[ splitter ]──► piece ──►[ register ]──►[ landing: element ]──► rows, words,
                 if an element    [ run counter ][ ring: address ]               wide, scale
                 is less than a beat

    With ``bus.codecs`` rows pass the :class:`.codec.Codec` behind the landing, 3 cycles later, and
    no piece of anything else enters before they are written.

    All counting happens when a piece (a beat, or an element if that is smaller) enters the
    element register; what leaves needs no further thought.

    =========== ==========================================================
    Latency     2 cycles from beat to write, 1 with short pipelines; 1 more
                with a splitter
    Throughput  1 piece per cycle, also from transfer to transfer; runs of
                a single element, and transfers of a single piece, take 2 cycles
    Stall       ``beats.ready`` depends combinationally on ``ready`` of the
                destinations
    Golden      :mod:`systolith_sim.dma.pages`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        The one description.

    Members
    -------
    i : In(stream of :func:`placement`)
        LOADs, in the order of their beats. Looked at while they wait; taken with their last
        piece, so that the next may begin in the cycle after, a cycle later if that is the only
        one, or without a queue in front of LOAD when everything is written.
    beats : In(stream of read_beat), mark : In(beat_mark())
        From memory, and what that beat is. Ready when none is awaited, too, as some ports need all
        their clients to be.
    awaited : In(1)
        A beat is still to come. It may be here before its LOAD is at ``i``.
    rows, words, wide, scale : Out(streams)
        As LOAD has them.
    post_inner, post_outer : Out(SemaphorePost)
        In the cycle where the last element of a run, of a transfer, is accepted.
    stop : In(1)
        Write no further element; take all beats and drop them.
    failed : Out(failures())
        Strobes: what is wrong in this cycle. From the next on, ``stop`` must be one.
    failed_pc : Out(16)
        Whose fault it is.
    busy : Out(1)
        Beats or writes are still to come.
    starving : Out(1)
        A beat is missing.
    """

    i: stream.Interface
    beats: stream.Interface
    mark: data.View
    awaited: Signal
    rows: stream.Interface
    words: stream.Interface
    wide: stream.Interface
    scale: stream.Interface
    post_inner: Any
    post_outer: Any
    stop: Signal
    failed: Any
    failed_pc: Signal
    busy: Signal
    starving: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(placement(config))),
            "beats": In(stream.Signature(read_beat(config))),
            "mark": In(beat_mark()),
            "awaited": In(1),
            "rows": Out(stream.Signature(row_write(config))),
            "words": Out(stream.Signature(word_write(config))),
            "wide": Out(stream.Signature(wide_write(config))),
            "scale": Out(scale_stream(config)),
            "post_inner": Out(SemaphorePost()),
            "post_outer": Out(SemaphorePost()),
            "stop": In(1),
            "failed": Out(failures()),
            "failed_pc": Out(PC_BITS),
            "busy": Out(1),
            "starving": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.counter = counter = RunCounter(self.config)
        m.submodules.ring = ring = Ring(self.config)
        m.submodules.landing = landing = Landing(self.config, address_bits(self.config))
        for name in ("words", "wide", "scale"):
            connect(m, getattr(landing, name), flipped(getattr(self, name)))
        rows_busy = self._elaborate_rows(m, landing)

        piece: Any = Signal(_piece())
        landed: Any = Signal(_landed(self.config))
        free = Signal()
        ready = Signal()
        finish = Signal()
        valid = self._elaborate_pieces(m, ready, counter, landed, piece)
        # A run of a single piece waits until the ring knows where the next one starts.
        single = counter.first & piece.mark.run_end & ~self.i.p.runs.last_slot.any()
        settling = Signal()
        # The first cycle of a transfer is the one after the last of another. One that would end in
        # it stays for another one, so that the ring has seen its own fields twice.
        started = Signal()
        late = Signal()
        m.d.sync += [
            settling.eq(counter.accept & single & ~piece.mark.last_run),
            started.eq(self.i.valid & ~self.i.ready),
        ]
        held = Signal()  # rows are under way, and must not be overtaken
        m.d.comb += [
            ready.eq(self.i.valid & free & ~self.stop & ~settling & ~late & ~held),
            counter.accept.eq(ready & valid),
            counter.run_end.eq(piece.mark.run_end),
            finish.eq(counter.accept & piece.mark.run_end & piece.mark.last_run),
            self.starving.eq(self.i.valid & ~valid),
        ]
        m.d.comb += ring.fresh.eq(self.i.valid & ~started)
        self._elaborate_element(m, counter, ring, landing, landed, piece)
        illegal = counter.write & ring.illegal
        full = self._elaborate_landing(
            m, landing, landed, counter.accept, illegal, ring.address, free
        )
        m.d.comb += self.busy.eq(self.i.valid | full | rows_busy)
        if self.config.bus.codecs:
            rows_leave = Signal()
            rows = self._rows()
            m.d.sync += rows_leave.eq((counter.accept & rows) | (rows_leave & (full | rows_busy)))
            m.d.comb += held.eq(rows_leave & ~rows)
        if not self.config.sequencer.instructions_stand:
            m.d.comb += self.i.ready.eq((finish & started) | late)
            m.d.sync += late.eq(finish & ~started)
        else:
            # The instruction stays while something of it may fail or post.
            finished = Signal()
            m.d.comb += self.i.ready.eq(finished & ~full & ~self.stop)
            m.d.sync += finished.eq(finish | (finished & ~self.i.ready))

        m.d.comb += [
            self.failed.illegal.eq(ring.illegal),
            self.failed.error.eq(counter.accept & piece.error),
            self.failed.short.eq(counter.short),
            self.failed_pc.eq(self.i.p.pc),
        ]
        return m

    def _elaborate_rows(self, m: Module, landing: Landing) -> Value:
        """Wire rows and posts, past the codec if there is one; return "it has a row"."""
        if not self.config.bus.codecs:
            connect(m, landing.rows, flipped(self.rows))
            connect(m, landing.posted_inner, flipped(self.post_inner))
            connect(m, landing.posted_outer, flipped(self.post_outer))
            return Const(0)
        m.submodules.codec = codec = Codec(self.config)
        connect(m, codec.o, flipped(self.rows))
        m.d.comb += [
            codec.i.p.row.eq(landing.rows.payload),
            codec.i.p.mark.eq(landing.row_mark),
            codec.i.valid.eq(landing.rows.valid),
            landing.rows.ready.eq(codec.i.ready),
        ]
        for name in ("inner", "outer"):
            post = getattr(self, f"post_{name}")
            row, other = getattr(codec, f"posted_{name}"), getattr(landing, f"posted_{name}")
            m.d.comb += [
                post.valid.eq(row.valid | other.valid), post.id.eq(Mux(row.valid, row.id, other.id))
            ]  # fmt: skip
        return codec.busy

    def _elaborate_pieces(
        self, m: Module, ready: Value, counter: RunCounter, landed, piece
    ) -> Value:
        """Cut beats into elements where those are smaller; return "there is a piece"."""
        beat = self.config.bus.data_bytes
        sizes = [min(beat, size) for size in element_bytes(self.config).values()]
        if min(sizes) == beat:
            m.d.comb += [
                landed.piece.eq(self.beats.p.data),
                piece.error.eq(self.beats.p.error),
                piece.mark.eq(self.mark),
                self.beats.ready.eq(ready | self.stop | ~self.awaited),
            ]
            return self.beats.valid

        m.submodules.splitter = splitter = Splitter([beat] * len(sizes), sizes, _piece())
        m.d.comb += [
            splitter.i.p.data.eq(self.beats.p.data),
            splitter.i.p.tag.error.eq(self.beats.p.error),
            splitter.i.p.tag.mark.eq(self.mark),
            splitter.i.valid.eq(self.beats.valid),
            self.beats.ready.eq(splitter.i.ready | self.stop),
            splitter.kind.eq(self.i.p.runs.kind),
            splitter.skip.eq(counter.enough),
            splitter.o.ready.eq(ready),
            landed.piece.eq(splitter.o.p.data),
            piece.error.eq(splitter.o.p.tag.error),
            piece.mark.run_end.eq(splitter.o.p.tag.mark.run_end & splitter.o.p.last),
            piece.mark.last_run.eq(splitter.o.p.tag.mark.last_run),
        ]
        return splitter.o.valid

    def _elaborate_element(
        self, m: Module, counter: RunCounter, ring: Ring, landing: Landing, landed, piece
    ) -> None:
        """Wire counter, ring and landing: what the element is, and where it goes."""
        fields = self.i.payload
        kind = fields.runs.kind

        turn = Signal.like(landed.lane)
        lane = Signal.like(landed.lane)
        m.d.comb += lane.eq(fields.lane + turn)
        with m.If(counter.accept & piece.mark.run_end):
            m.d.sync += turn.eq(Mux(piece.mark.last_run, 0, turn + 1))

        # The groups of banks of a tile count below its address.
        group = Signal.like(landed.group)  # of the element before
        last_group = group == self.config.array.rows // self.config.write_rows - 1
        with m.If(landed.offer):
            m.d.sync += group.eq(landed.group)
        rows, columns = self._rows(), kind == LoadKind.OPERAND_COLUMNS
        m.d.comb += [
            counter.fields.eq(fields.runs),
            ring.fields.eq(fields.ring),
            ring.step.eq(counter.step),
            ring.first.eq(counter.first),
            ring.advance.eq(~columns | (lane == self.config.array.columns - 1)),
            ring.hold.eq(rows & ~last_group),
            landed.header.eq(counter.header),
            landed.offer.eq(counter.write & ~piece.error),
            landed.part.eq(counter.part),
            landed.kind.eq(kind),
            landed.lane.eq(lane),
            landed.group.eq(Mux(counter.first | last_group, 0, group + 1)),
            landed.post_inner.id.eq(fields.post_inner.id),
            landed.post_inner.present.eq(fields.post_inner.present & counter.last),
            landed.post_outer.id.eq(fields.post_outer.id),
            landed.post_outer.present.eq(
                fields.post_outer.present & counter.last & piece.mark.last_run
            ),
        ]

    def _rows(self) -> Value:
        """Return whether the transfer's elements are rows, as they are or in codes."""
        kinds = (LoadKind.OPERAND_ROWS, *code_pages(self.config))
        return Cat(self.i.p.runs.kind == kind for kind in kinds).any()

    def _elaborate_landing(
        self, m: Module, landing: Landing, landed, accept: Value, illegal: Value, address: Value,
        free: Signal,
    ) -> Value:  # fmt: skip
        """Hand pieces to the landing; return "there is an element".

        An ``illegal`` element is taken back from where it is in the next cycle; none comes after.
        """
        entering: Any = landed
        enters: Value = accept
        full: Value = landing.full
        if self.config.short_pipelines:
            m.d.sync += landing.void.eq(illegal & landing.free)
            m.d.comb += [
                free.eq(landing.free),
                landing.address.eq(address),
            ]
        else:
            entering, enters = self._elaborate_step(m, landing, landed, accept, illegal, free)
            full |= enters & entering.offer
            # The next element may have its address before this one moves on.
            fresh = Signal()  # it came in the cycle before
            kept = Signal.like(address, reset_less=True)
            m.d.sync += fresh.eq(landing.free)
            m.d.comb += landing.address.eq(Mux(fresh, address, kept))
            with m.If(fresh):
                m.d.sync += kept.eq(address)
            enters &= landing.free
        strobes = ("header", "offer")
        m.d.comb += landing.comes.eq(enters)
        for name, _ in landed.shape():
            value = entering[name]
            m.d.comb += getattr(landing, name).eq(value & enters if name in strobes else value)
        return full

    def _elaborate_step(
        self, m: Module, landing: Landing, landed, accept: Value, illegal: Value, free: Signal
    ) -> tuple[Any, Value]:
        """Give pieces a register on their way to the landing, and a spare place in front of it, so
        that only registers decide here whether one is taken; return the piece that comes next, and
        whether there is one.
        """
        m.submodules.spare = spare = Spare(landed.shape())
        step: Any = Signal(landed.shape(), reset_less=True)
        stepped = Signal()
        void = Signal(2)  # in the spare place, in the register
        with m.If(illegal):
            m.d.sync += void.eq(void | Cat(~landing.free, landing.free))
        with m.If(landing.free):
            m.d.sync += [
                step.eq(spare.o.payload),
                stepped.eq(spare.o.valid & ~void[0]),
            ]
        m.d.comb += [
            spare.i.payload.eq(landed),
            spare.i.valid.eq(accept),
            spare.o.ready.eq(landing.free),
            free.eq(spare.i.ready),
        ]
        return step, stepped & ~void[1]
