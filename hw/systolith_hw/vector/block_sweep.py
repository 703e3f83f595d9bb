"""The beats of a token of DRAIN: what begins and ends with each, and which lanes count."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import HEAD_CHANNELS, Config
from ..isa import SLOT_BITS
from .block_order import block_order
from .block_tokens import token_place

__all__ = ["BlockSweep"]


class BlockSweep(wiring.Component):
    """Keep a token while it is swept, L channels at a time.

    With ``rotate`` each beat comes twice, first ``straight``.

    =========== ==========================================================
    Latency     the cycle after ``begin`` is the first beat's, the one after
                ``advance`` the next one's
    Throughput  1 beat per cycle; ``begin`` may come with the last ``advance``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Shapes and depths.

    Members
    -------
    order : In(block_order(config))
        The instruction.
    begin : In(1), next : In(token_place(config))
        Begin with this token.
    advance : In(1)
        Go on to the next beat.
    token : Out(token_place(config))
        The token; ``destination`` and ``scale`` are those of the beat.
    lanes, counted : Out(range(L + 1))
        How many lanes of the beat exist, and how many of these a maximum takes in.
    index, more, end, block_end, row_begin, row_end : Out
        As in :func:`~.beat.beat`.
    straight : Out(1)
        The same channels come once more; nothing ends with this beat.
    source : Out(range(memory.wide_words))
        Wide word that holds what is added, or second factors.
    """

    order: data.View
    begin: Signal
    next: data.View
    advance: Signal
    token: data.View
    lanes: Signal
    counted: Signal
    index: Signal
    more: Signal
    end: Signal
    block_end: Signal
    row_begin: Signal
    row_end: Signal
    straight: Signal
    source: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        array, lanes = config.array, config.vector.lanes
        super().__init__({
            "order": In(block_order(config)),
            "begin": In(1),
            "next": In(token_place(config)),
            "advance": In(1),
            "token": Out(token_place(config)),
            **dict.fromkeys(("lanes", "counted"), Out(range(lanes + 1))),
            "index": Out(range(max(array.rows, array.columns) // lanes)),
            "more": Out(range(max(array.rows, HEAD_CHANNELS) // lanes)),
            **dict.fromkeys(("end", "block_end", "row_begin", "row_end", "straight"), Out(1)),
            "source": Out(range(config.memory.wide_words)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        order: Any = self.order
        token: Any = Signal(self.token.shape(), reset_less=True)
        per_word = self.config.array.rows // self.config.vector.lanes
        per_row = self.config.beats_per_result
        last_index = self.index == Mux(order.to_values, per_row - 1, per_word - 1)
        single = (order.to_wide & ~order.measure) | order.to_best
        moves = self.advance & ~self.straight
        m.d.comb += [
            self.token.eq(token),
            self.end.eq((single | last_index | self.row_end) & ~self.straight),
            self.block_end.eq(Mux(order.shared, self.row_end, self.end)),
        ]
        with m.If(self.begin):
            m.d.sync += [token.eq(self.next), self.index.eq(0), self.row_begin.eq(1)]
        with m.Elif(moves):
            m.d.sync += [token.scale.eq(token.scale + 1), self.row_begin.eq(0)]
            m.d.sync += self.index.eq(Mux(self.end, 0, self.index + 1))
            with m.If(self.end | order.measure):
                stride = Mux(order.to_values, order.token_stride, ~order.to_best)
                m.d.sync += token.destination.eq(token.destination + stride)
            with m.If(self.end & order.measure):
                m.d.sync += token.entry.eq(token.entry + 1)
        left, last_tile = self._elaborate_left(m, moves)
        self._elaborate_more(m, left)
        self._elaborate_lanes(m, left, last_tile)
        self._elaborate_counted(m, moves)
        self._elaborate_source(m)
        return m

    def _elaborate_source(self, m: Module) -> None:
        """Step through wide memory; angles of a head's end are followed by those of its beginning.

        A beat has two words of angles, whose place in their row is that of the beat in its head:
        as far from the row's beginning as the beat's scale word is from the first.
        """
        order: Any = self.order
        begun: Any = self.next
        beats = begun.scale - order.scale
        source = Signal.like(self.source, reset_less=True)
        angles = (begun.row << order.shift)[: len(source)] | (beats << 1) & order.angles
        m.d.comb += self.source.eq(source)
        with m.If(self.begin):
            m.d.sync += source.eq(
                Mux(order.rotate, angles, Mux(order.product, begun.entry, begun.destination))
            )
        with m.Elif(self.advance):
            m.d.sync += source.eq(((source + 1) & order.angles) | (source & ~order.angles))
        with m.If(self.begin | self.advance):
            m.d.sync += self.straight.eq(order.rotate & (self.begin | ~self.straight))

    def _elaborate_left(self, m: Module, moves: Value) -> tuple[Signal, Signal]:
        """Count the beats that come behind this one; return that, and "this is the last tile"."""
        order: Any = self.order
        begun: Any = self.next
        bits = (self.config.beats_per_result - 1).bit_length()
        left = Signal(SLOT_BITS + bits, reset_less=True)
        last_tile = Signal(reset_less=True)
        most_tiles = Mux(begun.last_group, order.most_tiles_last, order.most_tiles)
        most = Cat(C((1 << bits) - 1, bits), most_tiles)
        with m.If(self.begin):
            m.d.sync += [
                left.eq(most),
                self.row_end.eq((most == 0) & ~order.rotate),
                last_tile.eq(most_tiles == 0),
            ]
        with m.Elif(self.advance & self.straight):
            m.d.sync += self.row_end.eq(left == 0)
        with m.Elif(moves):
            m.d.sync += [
                left.eq(left - 1),
                self.row_end.eq((left == 1) & ~order.rotate),
                last_tile.eq(left <= self.config.beats_per_result),
            ]
        return left, last_tile

    def _elaborate_more(self, m: Module, left: Signal) -> None:
        """Tell how many beats of a block come behind its first."""
        order: Any = self.order
        most = self.config.array.rows // self.config.vector.lanes - 1  # of a word
        long = left[most.bit_length() :].any() & ~order.shared
        single = (order.to_wide & ~order.measure) | order.to_best
        m.d.comb += self.more.eq(Mux(single, 0, Mux(long, most, left)))

    def _elaborate_lanes(self, m: Module, left: Signal, last_tile: Signal) -> None:
        """Tell the lanes that exist: the very last tile has ``columns_last`` columns."""
        order: Any = self.order
        array, lanes = self.config.array, self.config.vector.lanes
        beat_bits, lane_bits, column_bits = (
            (size - 1).bit_length()
            for size in (self.config.beats_per_result, lanes, array.columns)
        )
        tail = self.token.last_group & ~order.shared & last_tile
        every = order.columns_last[column_bits:].any()
        whole_beats = order.columns_last[lane_bits:column_bits]
        select = ~left[:beat_bits]
        with m.If(~tail | every | (select < whole_beats)):
            m.d.comb += self.lanes.eq(lanes)
        with m.Elif(select == whole_beats):
            m.d.comb += self.lanes.eq(order.columns_last[:lane_bits])

    def _elaborate_counted(self, m: Module, moves: Value) -> None:
        """Count down the channels that a maximum takes in."""
        order: Any = self.order
        begun: Any = self.next
        lane_bits = (self.config.vector.lanes - 1).bit_length()
        channels = Signal(len(begun.entry), reset_less=True)
        beats, rest = channels[lane_bits:], channels[:lane_bits]
        every = Signal(reset_less=True)  # of this beat's lanes
        with m.If(self.begin):
            limited = order.limited & ~begun.entry[-1]
            m.d.sync += [
                channels.eq(Mux(limited, begun.entry, ~0)),
                every.eq(~limited | begun.entry[lane_bits:].any()),
            ]
        with m.Elif(moves):
            m.d.sync += [beats.eq(beats - every), every.eq(beats[1:].any())]
            m.d.sync += rest.eq(Mux(every, rest, 0))
        limit = Mux(every, self.config.vector.lanes, rest)
        m.d.comb += self.counted.eq(Mux(self.lanes < limit, self.lanes, limit))
