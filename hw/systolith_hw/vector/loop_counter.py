"""Count the loops of DRAIN, one beat at a time."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from .order import drain_order

__all__ = ["LoopCounter"]


class LoopCounter(wiring.Component):
    """Count group, token, tile and beat; say what ends with this beat.

    ``check`` makes ready for the first beat, and ``advance`` goes from a beat to the next. Every
    loop knows from a register whether it is in its last round.

    Parameters
    ----------
    config : Config
        Beats of a result and of an activation word.

    Members
    -------
    order : In(drain_order(config))
        Bounds; stay from ``check`` on.
    check, advance : In(1)
        As above.
    zero : Out(1)
        In the cycle of ``check``: a count is zero.
    index : Out(range(R / L)), lanes : Out(range(L + 1))
        This beat's place in its activation word, and how many of its lanes are channels that
        exist.
    token_begins, group_begins : Out(1)
        In the cycle of ``check`` or ``advance``: the next beat is the first of a token, of a group.
    end, token_end, group_end, drain_end : Out(1)
        This beat is the last of a written word, of a token's tiles, of a group, of all.
    last_token : Out(1)
        This beat's token is the last of its group; a register.
    """

    order: data.View
    check: Signal
    advance: Signal
    zero: Signal
    index: Signal
    lanes: Signal
    token_begins: Signal
    group_begins: Signal
    end: Signal
    token_end: Signal
    group_end: Signal
    drain_end: Signal
    last_token: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        lanes = config.vector.lanes
        super().__init__({
            "order": In(drain_order(config)),
            "check": In(1),
            "advance": In(1),
            "zero": Out(1),
            "index": Out(range(config.array.rows // lanes)),
            "lanes": Out(range(lanes + 1)),
            "token_begins": Out(1),
            "group_begins": Out(1),
            "end": Out(1),
            "token_end": Out(1),
            "group_end": Out(1),
            "drain_end": Out(1),
            "last_token": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        order: Any = self.order
        select = Signal(range(self.config.beats_per_result))
        last_beat = select == self.config.beats_per_result - 1
        last_index = self.index == self.config.array.rows // self.config.vector.lanes - 1
        token_end, group_end = self.advance & self.token_end, self.advance & self.group_end

        few = {  # none, or a single one
            name: ~order[name][1:].any() for name in ("tokens", "groups", "tiles", "tiles_last")
        }
        single = {name: one_or_none & order[name][0] for name, one_or_none in few.items()}
        last_group, last_group_then = _count(
            m, order.groups, self.check, single["groups"], group_end
        )
        last_token, _ = _count(
            m, order.tokens, self.check | group_end, single["tokens"], token_end
        )
        into_last = Mux(self.check | last_token, last_group_then, last_group)
        last_tile, _ = _count(
            m, Mux(last_group, order.tiles_last, order.tiles), self.check | token_end,
            Mux(into_last, single["tiles_last"], single["tiles"]), self.advance & last_beat,
        )  # fmt: skip
        m.d.comb += [
            self.zero.eq(Cat(few[name] & ~order[name][0] for name in few).any()),
            self.last_token.eq(last_token),
            self.token_end.eq(last_beat & last_tile),
            self.group_end.eq(self.token_end & last_token),
            self.drain_end.eq(self.group_end & last_group),
            self.end.eq(order.wide | last_index | self.token_end),
            self.token_begins.eq(self.check | (self.token_end & ~self.drain_end)),
            self.group_begins.eq(self.check | (self.group_end & ~self.drain_end)),
        ]
        with m.If(self.advance):
            m.d.sync += [
                select.eq(Mux(last_beat, 0, select + 1)),
                self.index.eq(Mux(self.end, 0, self.index + 1)),
            ]
        self._elaborate_lanes(m, select, last_tile & last_group)
        return m

    def _elaborate_lanes(self, m: Module, select: Value, tail: Value) -> None:
        """Tell the lanes that exist; ``tail`` is one in the very last tile."""
        order: Any = self.order
        lanes = self.config.vector.lanes
        lane_bits = (lanes - 1).bit_length()
        columns, every = order.columns_last[:-1], order.columns_last[-1]
        whole_beats = columns[lane_bits:]
        with m.If(~tail | every | (select < whole_beats)):
            m.d.comb += self.lanes.eq(lanes)
        with m.Elif(select == whole_beats):
            m.d.comb += self.lanes.eq(columns[:lane_bits])


def _count(
    m: Module, bound: Value, restart: Value, single: Value, step: Value
) -> tuple[Signal, Value]:
    """Count the rounds of a loop; return whether it is in the last, and whether in the next cycle.

    It restarts with the first, which may be the ``single`` one, and steps to the next.
    """
    last = Signal(reset_less=True)
    following = Signal(len(bound), reset_less=True)  # the round after this one
    last_then = Mux(restart, single, bound == following)
    with m.If(restart):
        m.d.sync += following.eq(2)
    with m.Elif(step):
        m.d.sync += following.eq(following + 1)
    with m.If(restart | step):
        m.d.sync += last.eq(last_then)
    return last, last_then
