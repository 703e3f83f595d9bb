"""The last register of LOAD: what is written, where it goes, and what it posts."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SCALE_ENTRY_BYTES, Config
from ..interfaces import SemaphorePost, row_write, scale_stream, wide_write, word_write
from ..isa import LoadKind
from ..sequencer.permit import semaphore
from .codec import row_mark
from .elements import places, written_bytes

__all__ = ["Landing"]


class Landing(wiring.Component):
    """Gather the pieces of an element, and offer it to its memory.

    ::

        piece ──►[ newest | one before | ... ]──┬──► rows
                                                ├──► words ◄── exponent ◄──[ exponents of the page ]
                                                ├──► wide
                                                └──► scale

    Pieces move on by one place with each that comes, so that none has a way across the chip, and
    each of the four destinations looks at as many places as it writes at once (:func:`.places`), a
    part of a scale word being an element here. With ``bus.codecs`` rows go to
    the codec, those of headers too, which gives the rows' posts; an element for one of the other
    three may be offered only when the codec is empty.

    =========== ==========================================================
    Latency     1 cycle from the last piece to the offer
    Throughput  1 element per cycle
    Stall       pieces only while ``free``, which depends combinationally
                on ``ready`` of the destinations
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        The one description.

    Members
    -------
    piece : In, comes : In(1)
        The piece that comes next, and that it is here. Only while ``free``.
    header : In(1)
        With ``comes``: it completes an element in front of a page.
    offer : In(1)
        With ``comes``: it completes an element that is to be written.
    void : In(1)
        The element that was offered in the cycle before is not written.
    kind, lane, group, part : In
        Of that element.
    post_inner, post_outer : In(semaphore())
        What its writing posts.
    address : In
        Where it goes; with ``offer``, with short pipelines from the cycle after on.
    free : Out(1)
        A piece may come.
    full : Out(1)
        An element is on offer.
    rows, words, wide, scale : Out(streams)
        To the memories.
    row_mark : Out(row_mark())
        Beside ``rows``; only with ``bus.codecs``.
    posted_inner, posted_outer : Out(SemaphorePost)
        In the cycle where the memory accepts.
    """

    piece: Signal
    comes: Signal
    header: Signal
    offer: Signal
    void: Signal
    kind: Signal
    lane: Signal
    group: Signal
    part: Signal
    post_inner: data.View
    post_outer: data.View
    address: Signal
    free: Signal
    full: Signal
    rows: stream.Interface
    words: stream.Interface
    wide: stream.Interface
    scale: stream.Interface
    row_mark: data.View
    posted_inner: Any
    posted_outer: Any

    def __init__(self, config: Config, address) -> None:
        self.config = config
        self.element_bytes = max(written_bytes(config).values())
        self.piece_bytes = min(config.bus.data_bytes, self.element_bytes)
        rows = row_write(config)
        codec = {"row_mark": Out(row_mark())} if config.bus.codecs else {}
        super().__init__({
            **codec,
            "piece": In(self.piece_bytes * 8),
            "comes": In(1),
            "header": In(1),
            "offer": In(1),
            "void": In(1),
            "kind": In(3),
            "lane": In(range(config.array.columns)),
            "group": In(rows["group"].shape),
            "part": In(range(config.vector.lanes // config.scale_write_lanes)),
            "post_inner": In(semaphore()),
            "post_outer": In(semaphore()),
            "address": In(address),
            "free": Out(1),
            "full": Out(1),
            "rows": Out(stream.Signature(rows)),
            "words": Out(stream.Signature(word_write(config))),
            "wide": Out(stream.Signature(wide_write(config))),
            "scale": Out(scale_stream(config)),
            "posted_inner": Out(SemaphorePost()),
            "posted_outer": Out(SemaphorePost()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        element = Signal(self.element_bytes * 8, reset_less=True)
        with m.If(self.comes):
            m.d.sync += element.eq(Cat(element, self.piece)[len(self.piece) :])
        places_of = places(self.config)
        raw = {kind: element[place:] for kind, place in places_of.items()}

        names = ("rows", "words", "wide", "scale")
        ports = [getattr(self, name) for name in names]
        kind = LoadKind
        coded = Signal()
        if self.config.bus.codecs:
            m.d.comb += coded.eq(
                (self.kind == kind.OPERAND_AFFINE) | (self.kind == kind.OPERAND_EXPONENT)
            )
        chosen = (
            (self.kind == kind.OPERAND_ROWS) | coded,
            (self.kind == kind.OPERAND_COLUMNS) | (self.kind == kind.ACTIVATION),
            self.kind == kind.WIDE,
            self.kind == kind.SCALE,
        )
        fulls = [Signal(name=f"full_{name}") for name in names]
        offers = [full & ~self.void for full in fulls]
        m.d.comb += [
            self.free.eq(~Cat(
                offer & ~port.ready for offer, port in zip(offers, ports, strict=True)
            ).any()),
            self.full.eq(Cat(offers).any()),
        ]  # fmt: skip
        address: Value = self.address
        if not self.config.short_pipelines:
            address = Signal.like(self.address, name="place", reset_less=True)
            with m.If(self.free):
                m.d.sync += address.eq(self.address)
        enters = self.offer | (self.header & coded)
        for port, full, offer, mine in zip(ports, fulls, offers, chosen, strict=True):
            m.d.comb += port.valid.eq(offer)
            with m.If(self.free):
                m.d.sync += full.eq(enters & mine)

        self._elaborate_posts(m)
        self._elaborate_words(m, raw[kind.ACTIVATION], address)
        row, wide, scale = self.rows.payload, self.wide.payload, self.scale.payload
        m.d.comb += [
            row.tile.eq(address),
            row.data.as_value().eq(raw[kind.OPERAND_ROWS]),
            wide.address.eq(address),
            wide.data.as_value().eq(raw[kind.WIDE]),
            scale.address.eq(address),
        ]
        with m.If(self.offer):
            m.d.sync += [row.group.eq(self.group), scale.part.eq(self.part)]
        for lane, entry in enumerate(scale.data):
            bits = raw[kind.SCALE].word_select(lane, SCALE_ENTRY_BYTES * 8)
            m.d.comb += [
                entry.scale.eq(bits[0:16]), entry.shift.eq(bits[16:24]), entry.bias.eq(bits[32:64]),
            ]  # fmt: skip
        return m

    def _elaborate_posts(self, m: Module) -> None:
        """Keep what to post beside the element, where the next transfer may have begun."""
        held = self.config.sequencer.instructions_stand
        codecs = self.config.bus.codecs
        given = self.full & self.free
        if codecs:
            given &= ~self.rows.valid
            self._elaborate_mark(m)
        for name, post, give in (
            ("post_inner", self.post_inner, self.posted_inner),
            ("post_outer", self.post_outer, self.posted_outer),
        ):
            pending: Any = Signal(semaphore())
            with m.If(self.offer):
                m.d.sync += pending.eq(post)
            m.d.comb += [
                give.valid.eq(given & pending.present),
                give.id.eq(post.id if held else pending.id),
            ]
            if codecs:
                m.d.comb += self.row_mark[name].eq(pending)

    def _elaborate_mark(self, m: Module) -> None:
        """Say what the codec needs to know of a row."""
        mark = self.row_mark
        with m.If(self.free):
            m.d.sync += [
                mark.header.eq(self.header),
                mark.affine.eq(self.kind == LoadKind.OPERAND_AFFINE),
                mark.exponent.eq(self.kind == LoadKind.OPERAND_EXPONENT),
            ]

    def _elaborate_words(self, m: Module, element: Value, address: Value) -> None:
        """Add mantissas, and the exponents of the page, which move up with each word."""
        array = self.config.array
        words = self.words.payload
        exponents: Any = Signal(
            data.ArrayLayout(array.exponent_bits, array.rows), reset_less=True
        )
        loading = Signal()
        m.d.sync += loading.eq(self.header)
        with m.If(loading):
            for index in range(array.rows):
                m.d.sync += exponents[index].eq(element.word_select(index, 8))
        with m.Elif(self.words.valid & self.words.ready):
            m.d.sync += exponents.as_value().eq(exponents.as_value() >> array.exponent_bits)

        m.d.comb += [
            words.address.eq(address),
            words.word.exponent.eq(exponents[0]),
        ]
        for index, mantissa in enumerate(words.word.mantissas):
            m.d.comb += mantissa.eq(element.word_select(index, array.mantissa_bytes * 8))
        with m.If(self.offer):
            m.d.sync += [
                words.lane.eq(self.lane),
                words.operand.eq(self.kind == LoadKind.OPERAND_COLUMNS),
            ]
