"""Find the channel with the largest value, over many instructions."""

from typing import Any, NamedTuple

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config
from ..isa import SLOT_BITS

__all__ = ["BestChannel", "best_begin", "channel_beat"]


def best_begin() -> data.StructLayout:
    """Return the shape of an instruction's beginning: whether it is one, and what it begins with.

    ``anew``: forget the largest value so far; ``channel``: number of its first one.
    """
    return data.StructLayout({"valid": 1, "anew": 1, "channel": SLOT_BITS})


def channel_beat(config: Config) -> data.StructLayout:
    """Return the shape of L values; only those of ``keep``, from lane 0 on, are there."""
    lanes = config.vector.lanes
    return data.StructLayout({
        "values": data.ArrayLayout(signed(FIXED_BITS), lanes), "keep": lanes, "last": 1,
    })  # fmt: skip


class _Node(NamedTuple):
    """The best of some lanes."""

    keep: Value
    value: Value
    lane: Value


class BestChannel(wiring.Component):
    """Compute the number of the first channel whose value is the largest, and say so after a group.

    Pairs of lanes are compared side by side and then each other, with a register behind each
    comparison and one behind each choice. The best of a beat has one more on its way to where it
    is compared with the best so far, and with that of the beat before, which may be the best so
    far by then. A number that is not taken is not kept: what is offered is that of the best, as
    many times as groups have ended.

    =========== ==================================================================
    Latency     2 * log2(lanes) + 4 cycles (:attr:`latency`) from a group's last beat
    Throughput  1 beat per cycle; never stalls
    Golden      BEST in :mod:`systolith_sim.machine.vector.destinations`
    =========== ==================================================================

    Parameters
    ----------
    config : Config
        Lanes.

    Members
    -------
    begin : In(best_begin())
        The beats that follow are an instruction's. All those before must be known, see ``empty``.
    i : In(stream of channel_beat(config), always ready)
        Beats; ``last`` ends a group. One may keep no lane.
    o : Out(stream of 16 bits)
        The number of the best channel so far. A cycle in which a beat comes must take one.
    empty : Out(1)
        All numbers are taken.
    """

    begin: data.View
    i: stream.Interface
    o: stream.Interface
    empty: Signal

    def __init__(self, config: Config) -> None:
        self.lanes = config.vector.lanes
        super().__init__({
            "begin": In(best_begin()),
            "i": In(stream.Signature(channel_beat(config), always_ready=True)),
            "o": Out(stream.Signature(SLOT_BITS)),
            "empty": Out(1),
        })

    @property
    def latency(self) -> int:
        """Cycles from a group's last beat to the number of its best channel."""
        return 2 * (self.lanes - 1).bit_length() + 4

    def elaborate(self, platform) -> Module:
        m = Module()
        coming, ends, new, under_way = self._elaborate_tree(m)
        node = _later(m, "node", new)
        valid = Signal()
        last = Signal(reset_less=True)
        counts = Signal()  # it keeps a lane, too
        m.d.sync += [valid.eq(coming), last.eq(ends), counts.eq(coming & new.keep)]
        largest = Signal(signed(FIXED_BITS), reset_less=True)
        none = Signal(init=1, reset_less=True)  # so far
        number = Signal(SLOT_BITS, reset_less=True)
        first = Signal(SLOT_BITS, reset_less=True)  # number of the beat's first channel
        # Every beat takes one, and so many are on their way at most.
        owed = Signal(range(self.latency + 1))
        m.d.comb += [
            self.o.valid.eq(owed.any()),
            self.o.payload.eq(number),
            self.empty.eq(~under_way & ~valid & ~self.o.valid),
        ]
        m.d.sync += owed.eq(owed + (valid & last) - (self.o.valid & self.o.ready))
        better = Signal()
        larger = self._elaborate_comparison(m, new.value, node.value, largest, better)
        m.d.comb += better.eq(counts & (none | larger))
        with m.If(better):
            m.d.sync += [largest.eq(node.value), none.eq(0), number.eq(first + node.lane)]
        with m.If(valid):
            m.d.sync += first.eq(first + self.lanes)
        # As late as beats are.
        begin: Any = Signal(best_begin(), reset_less=True)
        m.d.sync += begin.eq(self.begin)
        with m.If(begin.valid):
            m.d.sync += first.eq(begin.channel)
            with m.If(begin.anew):
                m.d.sync += [none.eq(1), number.eq(begin.channel)]
        return m

    @staticmethod
    def _elaborate_comparison(
        m: Module, new: Value, node: Value, largest: Value, better: Value
    ) -> Value:
        """Return whether the node is above the largest so far.

        That takes a cycle, in which the beat before may have become the largest.
        """
        above = Signal()
        above_before = Signal()
        before_better = Signal()
        m.d.sync += [
            above.eq(new > largest), above_before.eq(new > node), before_better.eq(better)
        ]  # fmt: skip
        return Mux(before_better, above_before, above)

    def _elaborate_tree(self, m: Module) -> tuple[Value, Value, _Node, Value]:
        """Add all comparisons in a beat; return when it is there, and whether one is under way."""
        # From a register, since all who want values are far from where they are made.
        beat: Any = Signal.like(self.i.payload, reset_less=True)
        valid: Value = Signal()
        m.d.sync += [beat.eq(self.i.payload), valid.eq(self.i.valid)]
        last: Value = beat.last
        level = [_Node(beat.keep[n], beat.values[n], C(0, 0)) for n in range(self.lanes)]
        under_way = [self.i.valid, valid]
        while len(level) > 1:
            count = len(level) // 2
            level = [
                self._elaborate_node(m, f"{count}_{n}", *level[2 * n : 2 * n + 2])
                for n in range(count)
            ]
            for step in ("compared", "chosen"):
                before = valid, last
                valid = Signal(name=f"valid_{step}_{count}")
                last = Signal(name=f"last_{step}_{count}", reset_less=True)
                m.d.sync += [valid.eq(before[0]), last.eq(before[1])]
                under_way.append(valid)
        come, ends = Signal(), Signal(reset_less=True)
        m.d.sync += [come.eq(valid), ends.eq(last)]
        return come, ends, _later(m, "new", level[0]), Cat(*under_way, come).any()

    @staticmethod
    def _elaborate_node(m: Module, name: str, a: _Node, b: _Node) -> _Node:
        """Compare two; of equals the first is better, and it is kept if the second one is."""
        node = _Node(
            Signal(name=f"keep_{name}", reset_less=True),
            Signal(signed(FIXED_BITS), name=f"value_{name}", reset_less=True),
            Signal(len(a.lane) + 1, name=f"lane_{name}", reset_less=True),
        )
        second = Signal(name=f"second_{name}", reset_less=True)
        m.d.sync += second.eq(b.keep & (b.value > a.value))
        a, b = (_later(m, f"{side}_{name}", one) for side, one in (("first", a), ("second", b)))
        m.d.sync += [
            node.keep.eq(a.keep),
            node.value.eq(Mux(second, b.value, a.value)),
            node.lane.eq(Cat(Mux(second, b.lane, a.lane), second)),
        ]
        return node


def _later(m: Module, name: str, node: _Node) -> _Node:
    """Return ``node``, one cycle later."""
    later = _Node(*(
        Signal(value.shape(), name=f"{part}_{name}", reset_less=True)
        for part, value in node._asdict().items()
    ))
    m.d.sync += [to.eq(value) for to, value in zip(later, node, strict=True)]
    return later
