"""The last register of LOAD: an element, where it goes, and what it posts."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SCALE_ENTRY_BYTES, Config
from ..interfaces import SemaphorePost, row_write, scale_stream, wide_write, word_write
from ..isa import LoadKind
from ..sequencer.permit import semaphore
from .codec import row_mark
from .elements import element_bytes, pieces

__all__ = ["Landing"]


class Landing(wiring.Component):
    """Gather the pieces of an element, and offer it to its memory.

    ::

        piece ──►[ slot 0 | slot 1 | ... ]──┬──► rows
                                            ├──► words ◄── exponent ◄──[ exponents of the page ]
                                            ├──► wide
                                            └──► scale

    The four destinations see the same bits, each as its own shape. With ``bus.codecs`` rows go to
    the codec, those of headers too, which the other three wait for and which gives the rows' posts.

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
    slots, piece : In
        The piece that comes next, and one bit for each slot, of which one says that it is its.
    header : In(1)
        It is here, and then the slots hold an exponent word. Only while ``free``.
    offer : In(1)
        It is here, and then the slots hold an element that is to be written. Only while ``free``.
    void : In(1)
        The element that was offered in the cycle before is not written.
    kind, lane, group : In
        Of that element.
    post_inner, post_outer : In(semaphore())
        What its writing posts.
    address : In
        Where it goes; with ``offer``, with short pipelines from the cycle after on.
    free : Out(1)
        The slots may be written.
    full : Out(1)
        An element is on offer.
    rows, words, wide, scale : Out(streams)
        To the memories.
    row_mark : Out(row_mark()), rows_busy : In(1)
        Beside ``rows``; and a row may not have been written yet. Only with ``bus.codecs``.
    posted_inner, posted_outer : Out(SemaphorePost)
        In the cycle where the memory accepts.
    """

    slots: Signal
    piece: Signal
    header: Signal
    offer: Signal
    void: Signal
    kind: Signal
    lane: Signal
    group: Signal
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
    rows_busy: Signal
    posted_inner: Any
    posted_outer: Any

    def __init__(self, config: Config, address) -> None:
        self.config = config
        self.element_bytes = max(element_bytes(config).values())
        self.piece_bytes = min(config.bus.data_bytes, self.element_bytes)
        rows = row_write(config)
        codec = {"row_mark": Out(row_mark()), "rows_busy": In(1)} if config.bus.codecs else {}
        super().__init__({
            **codec,
            "slots": In(max(pieces(config).values())),
            "piece": In(self.piece_bytes * 8),
            "header": In(1),
            "offer": In(1),
            "void": In(1),
            "kind": In(3),
            "lane": In(range(config.array.columns)),
            "group": In(rows["group"].shape),
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

        # Whether there is a piece comes late: what is taken without one, the next replaces.
        element = Signal(self.element_bytes * 8, reset_less=True)
        with m.If(self.free):
            for slot in range(self.element_bytes // self.piece_bytes):
                with m.If(self.slots[slot]):
                    m.d.sync += element.word_select(slot, self.piece_bytes * 8).eq(self.piece)

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
        opens: list[Value] = [Const(1)] * len(ports)
        if self.config.bus.codecs:
            opens[1:] = [~self.rows_busy] * (len(ports) - 1)
        m.d.comb += [
            self.free.eq(~Cat(
                offer & ~(port.ready & open)
                for offer, port, open in zip(offers, ports, opens, strict=True)
            ).any()),
            self.full.eq(Cat(offers).any()),
        ]  # fmt: skip
        address: Value = self.address
        if not self.config.short_pipelines:
            address = Signal.like(self.address, name="place", reset_less=True)
            with m.If(self.free):
                m.d.sync += address.eq(self.address)
        enters = self.offer | (self.header & coded)
        for port, full, offer, open, mine in zip(ports, fulls, offers, opens, chosen, strict=True):
            m.d.comb += port.valid.eq(offer & open)
            with m.If(self.free):
                m.d.sync += full.eq(enters & mine)

        self._elaborate_posts(m)
        self._elaborate_words(m, element, address)
        row, wide, scale = self.rows.payload, self.wide.payload, self.scale.payload
        m.d.comb += [
            row.tile.eq(address),
            row.data.as_value().eq(element),
            wide.address.eq(address),
            wide.data.as_value().eq(element),
            scale.address.eq(address),
        ]
        with m.If(self.offer):
            m.d.sync += row.group.eq(self.group)
        for lane, entry in enumerate(scale.data):
            raw = element.word_select(lane, SCALE_ENTRY_BYTES * 8)
            m.d.comb += [
                entry.scale.eq(raw[0:16]), entry.shift.eq(raw[16:24]), entry.bias.eq(raw[32:64]),
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
