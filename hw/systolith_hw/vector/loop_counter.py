"""Count the loops of DRAIN, one beat at a time."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..isa import SLOT_BITS

__all__ = ["LoopCounter", "loop_bounds"]



def loop_bounds() -> data.StructLayout:
    """Return the shape of the bounds of all loops: fields of DRAIN, and ``wide``."""
    names = ("tokens", "groups", "tiles", "tiles_last", "columns_last")
    return data.StructLayout({**dict.fromkeys(names, SLOT_BITS), "wide": 1})


class LoopCounter(wiring.Component):
    """Count group, token, tile and beat; say what ends with this beat.

    ``load`` takes ``bounds``; ``check`` in the next cycle makes ready for the first beat, and
    ``advance`` goes from a beat to the next.

    Parameters
    ----------
    config : Config
        Beats of a result and of an activation word.

    Members
    -------
    bounds : In(loop_bounds()), load, check, advance : In(1)
        As above.
    zero : Out(1)
        In the cycle of ``check``: a count is zero.
    select : Out(range(C / L)), index : Out(range(R / L)), lanes : Out(range(L + 1))
        This beat's place in its result and in its activation word, and how many of its lanes are
        channels that exist.
    token_begins, group_begins : Out(1)
        In the cycle of ``check`` or ``advance``: the next beat is the first of a token, of a group.
    end, token_end, group_end, drain_end : Out(1)
        This beat is the last of a written word, of a token's tiles, of a group, of all.
    """

    bounds: data.View
    load: Signal
    check: Signal
    advance: Signal
    zero: Signal
    select: Signal
    index: Signal
    lanes: Signal
    token_begins: Signal
    group_begins: Signal
    end: Signal
    token_end: Signal
    group_end: Signal
    drain_end: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        lanes = config.vector.lanes
        super().__init__({
            "bounds": In(loop_bounds()),
            "load": In(1),
            "check": In(1),
            "advance": In(1),
            "zero": Out(1),
            "select": Out(range(config.beats_per_result)),
            "index": Out(range(config.array.rows // lanes)),
            "lanes": Out(range(lanes + 1)),
            "token_begins": Out(1),
            "group_begins": Out(1),
            "end": Out(1),
            "token_end": Out(1),
            "group_end": Out(1),
            "drain_end": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        names = ("tokens", "tiles", "tiles_last")
        # Every tile and every group has scale words of its own, so counts above their number lead
        # out of the scale memory: this number, or any above it, does for them all.
        few = self.config.memory.scale_words.bit_length()
        again = {
            name: Signal(SLOT_BITS if name == "tokens" else few, name=name, reset_less=True)
            for name in names
        }
        wide = Signal(reset_less=True)
        # How many are left, this one included.
        groups = Signal(few, reset_less=True)
        tokens = Signal(SLOT_BITS, reset_less=True)
        tiles = Signal(few, reset_less=True)

        last_beat = self.select == self.config.beats_per_result - 1
        last_index = self.index == self.config.array.rows // self.config.vector.lanes - 1
        last_tile, last_group = tiles == 1, groups == 1
        m.d.comb += [
            self.zero.eq((groups == 0) | Cat(bound == 0 for bound in again.values()).any()),
            self.token_end.eq(last_beat & last_tile),
            self.group_end.eq(self.token_end & (tokens == 1)),
            self.drain_end.eq(self.group_end & last_group),
            self.end.eq(wide | last_index | self.token_end),
            self.token_begins.eq(self.check | (self.token_end & ~self.drain_end)),
            self.group_begins.eq(self.check | (self.group_end & ~self.drain_end)),
        ]

        into_last = Mux(self.advance & self.group_end, groups == 2, last_group)
        with m.If(self.advance):
            m.d.sync += [
                self.select.eq(Mux(last_beat, 0, self.select + 1)),
                self.index.eq(Mux(self.end, 0, self.index + 1)),
            ]
            with m.If(last_beat):
                m.d.sync += tiles.eq(tiles - 1)
            with m.If(self.token_end):
                m.d.sync += tokens.eq(tokens - 1)
            with m.If(self.group_end):
                m.d.sync += groups.eq(groups - 1)
        with m.If(self.check | (self.advance & self.group_end)):
            m.d.sync += tokens.eq(again["tokens"])
        with m.If(self.check | (self.advance & self.token_end)):
            m.d.sync += tiles.eq(Mux(into_last, again["tiles_last"], again["tiles"]))
        with m.If(self.load):
            m.d.sync += [
                register.eq(_saturate(self.bounds[name], len(register)))
                for name, register in again.items()
            ]
            m.d.sync += [
                wide.eq(self.bounds.wide), groups.eq(_saturate(self.bounds.groups, few))
            ]  # fmt: skip
        self._elaborate_lanes(m, last_tile & last_group)
        return m

    def _elaborate_lanes(self, m: Module, tail: Value) -> None:
        """Tell the lanes that exist; ``tail`` is one in the very last tile."""
        lanes = self.config.vector.lanes
        lane_bits = (lanes - 1).bit_length()
        column_bits = (self.config.array.columns - 1).bit_length()
        columns = Signal(column_bits, reset_less=True)
        every = Signal(reset_less=True)
        with m.If(self.load):
            m.d.sync += [
                columns.eq(self.bounds.columns_last),
                every.eq(self.bounds.columns_last[column_bits:].any()),
            ]
        whole_beats = columns[lane_bits:]
        with m.If(~tail | every | (self.select < whole_beats)):
            m.d.comb += self.lanes.eq(lanes)
        with m.Elif(self.select == whole_beats):
            m.d.comb += self.lanes.eq(columns[:lane_bits])


def _saturate(count: Value, bits: int) -> Value:
    """Return ``count``, or the largest of ``bits`` bits if it has more."""
    return count[:bits] | count[bits:].any().replicate(bits)
