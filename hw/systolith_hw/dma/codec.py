"""Expand 4-bit codes of weights to row writes on their way into operand memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..code_pages import PARAMETER_BITS, code_pages
from ..config import CODE_BITS, CODE_GROUP, WEIGHT_BITS, Config
from ..interfaces import SemaphorePost, row_write
from ..isa import LoadKind
from ..sequencer.permit import semaphore
from .elements import places

__all__ = ["LATENCY", "Codec", "row_mark"]

LATENCY = 3
"""Cycles from an element to its row write."""

SLOPE_FRACTION = 4
"""A slope has LSB 2**-4."""

LARGEST_EXPONENT = 4

SLOPE_BITS = SLOPE_FRACTION + LARGEST_EXPONENT + 1

LIMIT = (1 << WEIGHT_BITS - 1) - 1


def row_mark() -> data.StructLayout:
    """Return the shape of what is known of an element of operand rows.

    ``affine`` and ``exponent`` say that it holds codes, or with ``header`` parameters, in one half:
    the high one if a beat is no more than that, else the low one. The posts belong to its write.
    """
    return data.StructLayout({
        "affine": 1, "exponent": 1, "header": 1,
        "post_inner": semaphore(), "post_outer": semaphore(),
    })  # fmt: skip


class Codec(wiring.Component):
    """Expand codes with the parameters of their group; weights of 8 bits pass as they are.

    ::

        affine:    clip8((slope * code + 8 >> 4) + offset)
        exponent:  (code - 8) << min(exponent, 4)

        header ──►[ parameters, a group after the other ]──► slope, offset of each column
                                                                   ▼
        codes  ─────────────────────────────►[ slope * 2 bits of the code, twice ]
                                                      ▼
                                             [ sum, rounded ]──►[ + offset, clipped ]──► o

    An exponent stands for a slope of ``16 << exponent`` and an offset of ``-8 << exponent``, and a
    weight that is none for a slope of zero and itself as the offset. Products are two additions
    each, so that synthesis takes no multipliers for them.

    =========== ==========================================================
    Latency     3 cycles from an element to its write
    Throughput  1 element per cycle; one of a header makes no write
    Stall       ``i.ready`` depends combinationally on ``o.ready``
    Golden      :mod:`systolith_sim.dma.codec`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        With ``bus.codecs``.

    Members
    -------
    i : In(stream of ``row``, :func:`~systolith_hw.interfaces.row_write`, and ``mark``,
            :func:`row_mark`)
        Elements as they lie in memory. A header has all its elements in a row; the page that it
        begins may end early.
    o : Out(stream of row_write)
        Row writes.
    posted_inner, posted_outer : Out(SemaphorePost)
        In the cycle where the array takes a write.
    busy : Out(1)
        A write is still to come.
    """

    i: stream.Interface
    o: stream.Interface
    posted_inner: Any
    posted_outer: Any
    busy: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        self.element_bits = config.write_rows * config.array.columns * CODE_BITS
        row = row_write(config)
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"row": row, "mark": row_mark()}))),
            "o": Out(stream.Signature(row)),
            "posted_inner": Out(SemaphorePost()),
            "posted_outer": Out(SemaphorePost()),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        mark = self.i.p.mark
        coded = mark.affine | mark.exponent
        step = Signal()
        full = Signal(LATENCY)
        m.d.comb += [
            step.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(step),
            self.o.valid.eq(full[-1]),
            self.busy.eq(full.any()),
        ]
        with m.If(step):
            m.d.sync += full.eq(Cat(self.i.valid & ~mark.header, full[:-1]))

        columns = self._elaborate_parameters(m, step & self.i.valid, coded)
        raw = self.i.p.row.data.as_value()
        codes = self._codes()
        weights = [
            self._elaborate_weight(
                m, step, coded, *columns[index % len(columns)],
                codes.word_select(index, CODE_BITS), raw.word_select(index, WEIGHT_BITS),
            )
            for index in range(self.element_bits // CODE_BITS)
        ]  # fmt: skip
        self._elaborate_beside(m, step, Cat(weights))
        return m

    def _codes(self) -> Value:
        """Return the half of an element that has codes or parameters."""
        place = places(self.config)
        first = place[LoadKind.OPERAND_AFFINE] - place[LoadKind.OPERAND_ROWS]
        return self.i.p.row.data.as_value()[first:][: self.element_bits]

    def _elaborate_parameters(
        self, m: Module, accept: Value, coded: Value
    ) -> list[tuple[Value, Value]]:
        """Keep the parameters of a page, lowest those of the group at hand; return slope and
        offset of each column."""
        mark, columns = self.i.p.mark, self.config.array.columns
        pages = code_pages(self.config)
        sizes = {kind: bits * columns for kind, bits in PARAMETER_BITS.items()}
        kept = Signal(
            max(sizes[kind] * page.groups for kind, page in pages.items()), reset_less=True
        )
        # Those of a header that is shorter than the longest one lie at the top.
        shorter = len(kept) - sizes[LoadKind.OPERAND_EXPONENT] * pages[
            LoadKind.OPERAND_EXPONENT].groups  # fmt: skip
        row = Signal(range(CODE_GROUP // self.config.write_rows))
        with m.If(accept & mark.header):
            m.d.sync += [kept.eq(Cat(kept, self._codes())[self.element_bits :]), row.eq(0)]
        with m.Elif(accept & coded):
            last = row == CODE_GROUP // self.config.write_rows - 1
            m.d.sync += row.eq(Mux(last, 0, row + 1))
            with m.If(last):
                affine, exponent = (
                    kept >> sizes[kind]
                    for kind in (LoadKind.OPERAND_AFFINE, LoadKind.OPERAND_EXPONENT)
                )
                m.d.sync += kept.eq(Mux(mark.affine, affine, exponent))

        slopes, offsets = kept[: columns * 8], kept[columns * 8 :]
        found: list[tuple[Value, Value]] = []
        for column in range(columns):
            exponent = kept[shorter:].word_select(column, CODE_BITS)
            powers = [exponent == power for power in range(LARGEST_EXPONENT)]
            powers.append(exponent >= LARGEST_EXPONENT)
            reached = [Cat(powers[: power + 1]).any() for power in range(LARGEST_EXPONENT + 1)]
            slope = Signal(SLOPE_BITS, name=f"slope_{column}")
            offset = Signal(WEIGHT_BITS, name=f"offset_{column}")
            m.d.comb += [
                slope.eq(Mux(
                    mark.affine, slopes.word_select(column, 8),
                    Cat(Const(0, SLOPE_FRACTION), powers),
                )),
                offset.eq(Mux(
                    mark.affine, offsets.word_select(column, 8), Cat(Const(0, 3), reached)
                )),
            ]  # fmt: skip
            found.append((slope, offset))
        return found

    def _elaborate_weight(
        self, m: Module, step: Value, coded: Value, slope: Value, offset: Value, code: Value,
        raw: Value,
    ) -> Value:  # fmt: skip
        """Add the three stages of one weight; return it."""
        low = Signal(SLOPE_BITS + 2, reset_less=True)
        high = Signal(SLOPE_BITS + 2, reset_less=True)
        first = Signal(signed(WEIGHT_BITS), reset_less=True)
        rounded = Signal(WEIGHT_BITS, reset_less=True)
        second = Signal(signed(WEIGHT_BITS), reset_less=True)
        weight = Signal(WEIGHT_BITS, reset_less=True)
        times = [Mux(bit & coded, slope, 0) for bit in code]
        # A product never falls below -128 with its offset: that has eight bits, too.
        total = Signal(signed(WEIGHT_BITS + 2))
        m.d.comb += total.eq(second + rounded)
        with m.If(step):
            m.d.sync += [
                low.eq(times[0] + (times[1] << 1)),
                high.eq(times[2] + (times[3] << 1)),
                first.eq(Mux(coded, offset, raw)),
                rounded.eq(low + (high << 2) + (1 << SLOPE_FRACTION - 1) >> SLOPE_FRACTION),
                second.eq(first),
                weight.eq(Mux(total > LIMIT, LIMIT, total)),
            ]
        return weight

    def _elaborate_beside(self, m: Module, step: Value, weights: Value) -> None:
        """Take place and posts of a write along with its weights."""
        row, mark = self.i.p.row, self.i.p.mark
        names = ("tile", "group", "post_inner", "post_outer")
        beside: Value = Cat(row.tile, row.group, mark.post_inner, mark.post_outer)
        for stage in range(LATENCY):
            following = Signal(len(beside), name=f"beside_{stage}", reset_less=True)
            with m.If(step):
                m.d.sync += following.eq(beside)
            beside = following
        layout = {name: (row if name in ("tile", "group") else mark)[name].shape()
                  for name in names}  # fmt: skip
        left: Any = Signal(data.StructLayout(layout))
        m.d.comb += [
            left.eq(beside),
            self.o.p.tile.eq(left.tile),
            self.o.p.group.eq(left.group),
            self.o.p.data.as_value().eq(weights),
        ]
        for give, post in (
            (self.posted_inner, left.post_inner), (self.posted_outer, left.post_outer),
        ):  # fmt: skip
            m.d.comb += [
                give.valid.eq(self.o.valid & self.o.ready & post.present),
                give.id.eq(post.id),
            ]
