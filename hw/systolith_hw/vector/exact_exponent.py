"""Find the exponent that a block of fixed-point values shares, rounding included."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, HEAD_CHANNELS, VALUE_WINDOW, WEIGHT_BITS, Config
from .block_exponent import BASE_BITS

__all__ = ["ExactExponent", "block_beat", "block_beats", "block_kind"]


def block_kind() -> data.StructLayout:
    """Return the shape of what a block is; without any flag it is an activation word.

    * ``operand``: mantissas of 8 bits, for operand memory;
    * ``values``: exponents of at most 15, and no words are made of it; an operand, too;
    * ``measure``: its mantissas are looked at;
    * ``unwritten``: no words are made of it;
    * ``row_begin``, ``row_end``: it is the first or the last of a row that is measured.
    """
    flags = ("operand", "values", "measure", "unwritten", "row_begin", "row_end")
    return data.StructLayout(dict.fromkeys(flags, 1))


def block_beat(config: Config) -> data.StructLayout:
    """Return the shape of L fixed-point values of a block under way.

    ``end`` marks the last beat of each of the block's words, or of what else is to be told apart,
    and ``block_end`` the block's. ``base`` is the number of bits below exponent 0; it and
    ``kind`` count with ``block_end``, but ``kind.operand`` always, and ``kind.row_begin`` with any.
    """
    return data.StructLayout({
        "data": data.ArrayLayout(signed(FIXED_BITS), config.vector.lanes),
        "end": 1,
        "block_end": 1,
        "base": BASE_BITS,
        "kind": block_kind(),
    })


def block_beats(config: Config, *, heads: bool) -> int:
    """Return the most beats of a block: of a word, or of a head's channels."""
    channels = HEAD_CHANNELS if heads else config.array.rows
    return channels // config.vector.lanes


class ExactExponent(wiring.Component):
    """Find the smallest exponent with which every value of a block, rounded, is a mantissa.

    The smallest e in 0..window with ``RNE(max / 2**(base + e)) < 2**(n - 1)``, n being the width of
    mantissas; window if there is none. No maximum is searched, since the bit length of the largest
    magnitude nearly decides, and that is the bit length of the *union* (or) of all of them. A
    value rounds up to a further bit if its leading n bits are ones. So wherever a value has
    n ones in a row it puts a one before them into the union: elsewhere than at the union's leading
    bit that changes nothing. ::

        i ──►[ magnitudes ]──►[ ones in a row; pairs ]──►[ union ]──►[ excess ]──►[ exponent ]
               cycle 0          cycle 1                   cycle 2     cycle 3      cycle 4

    =========== ====================================================
    Latency     5 cycles (:attr:`latency`) from a block's last beat to its exponent
    Throughput  1 beat per cycle; never stalls
    Golden      :func:`systolith_sim.vector.normalizer.normalize`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes and widths.
    heads : bool
        Blocks may be operands; else all are words.

    Members
    -------
    i : In(stream of block_beat(config), always ready)
        Values.
    ready : Out(1), more : Out(range(beats of the longest block))
        The next cycle is the first with the outputs below for a block of ``more + 1`` beats.
    soon : Out(1)
        ``ready`` comes in the next cycle.
    exponent : Out(exponent_bits)
        The block exponent; stays until the next block's.
    distance : Out(5)
        How far its values are to be shifted: ``base + exponent``, never above 31.
    zero : Out(1)
        All of its values are zero.
    kind : Out(block_kind())
        What it is.
    """

    latency = 5

    i: stream.Interface
    ready: Signal
    more: Signal
    soon: Signal
    exponent: Signal
    distance: Signal
    zero: Signal
    kind: data.View

    def __init__(self, config: Config, *, heads: bool) -> None:
        self.config = config
        self.bits = WEIGHT_BITS if heads else config.array.mantissa_bits
        self.margin = config.array.mantissa_bits - self.bits
        super().__init__({
            "i": In(stream.Signature(block_beat(config), always_ready=True)),
            "ready": Out(1),
            "more": Out(range(block_beats(config, heads=heads))),
            "soon": Out(1),
            "exponent": Out(config.array.exponent_bits),
            "distance": Out(BASE_BITS),
            "zero": Out(1),
            "kind": Out(block_kind()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        ending, about = self._elaborate_ages(m)
        union = self._elaborate_union(m, ending[2])
        m.d.comb += [self.ready.eq(ending[-1]), self.soon.eq(ending[-2])]

        # How far the largest value must go to the right to be a mantissa of the shortest kind: the
        # place of the union's leading one. How far exponents begin and end is known before.
        array, longest = self.config.array, (1 << BASE_BITS) + self.margin
        base, kind = about[-2][:BASE_BITS], data.View(block_kind(), about[-2][BASE_BITS:])
        longer = Mux(kind.operand, 0, self.margin)
        largest = Mux(kind.values, min(array.window, VALUE_WINDOW), array.window)
        excess = Signal(range(len(union)), reset_less=True)
        margin = Signal(range(self.margin + 1), reset_less=True)
        window = Signal(range(array.window + 1), reset_less=True)
        lowest = Signal(range(longest), reset_less=True)
        highest = Signal(range(longest + array.window), reset_less=True)
        empty = Signal(reset_less=True)
        m.d.sync += [
            excess.eq(0), empty.eq(~union.any()), margin.eq(longer), window.eq(largest),
            lowest.eq(base + longer), highest.eq(base + longer + largest),
        ]  # fmt: skip
        for place in range(len(union)):
            with m.If(union[place]):
                m.d.sync += excess.eq(place)

        with m.If(self.ready):
            m.d.sync += [self.zero.eq(empty), Value.cast(self.kind).eq(about[-1][BASE_BITS:])]
            with m.If(excess < lowest):
                m.d.sync += [self.exponent.eq(0), self.distance.eq(lowest - margin)]
            with m.Elif(excess > highest):
                m.d.sync += [self.exponent.eq(window), self.distance.eq(highest - margin)]
            with m.Else():
                m.d.sync += [
                    self.exponent.eq(excess - lowest), self.distance.eq(excess - margin)
                ]  # fmt: skip
        return m

    def _elaborate_ages(self, m: Module) -> tuple[list[Value], list[Value]]:
        """Return for each age of a beat whether its block ends, and the base and kind of that."""
        payload = self.i.payload
        kind: Any = Signal(block_kind(), name="kind_now")
        begun = Signal()
        m.d.comb += [kind.eq(payload.kind), kind.row_begin.eq(payload.kind.row_begin | begun)]
        with m.If(self.i.valid):
            m.d.sync += begun.eq(kind.row_begin & ~payload.block_end)

        ending: list[Value] = [self.i.valid & payload.block_end]
        about: list[Value] = [Cat(payload.base, kind)]
        for age in range(1, self.latency):
            ending.append(Signal(name=f"ending_{age}"))
            about.append(Signal(len(about[0]), name=f"about_{age}", reset_less=True))
            m.d.sync += [ending[age].eq(ending[age - 1]), about[age].eq(about[age - 1])]
        return ending, about

    def _elaborate_union(self, m: Module, end: Value) -> Signal:
        """Join the bits of a block's values that no mantissa has room for; count its beats."""
        present = [self.i.valid]
        for age in (1, 2):
            present.append(Signal(name=f"present_{age}"))
            m.d.sync += present[age].eq(present[age - 1])
        operand = Signal(reset_less=True)
        m.d.sync += operand.eq(self.i.payload.kind.operand)
        lanes = []
        for lane, value in enumerate(self.i.payload.data):
            magnitude = Signal(FIXED_BITS, name=f"magnitude_{lane}", reset_less=True)
            sign = value[-1]
            m.d.sync += magnitude.eq((value ^ sign.replicate(FIXED_BITS)) + sign)
            lanes.append(self._needed(m, magnitude, operand, lane))
        joined: Value = C(0, 1)
        for index in range(0, len(lanes), 2):
            pair = Signal(len(lanes[0]), name=f"pair_{index // 2}", reset_less=True)
            m.d.sync += pair.eq(lanes[index] | lanes[min(index + 1, len(lanes) - 1)])
            joined = joined | pair

        first = Signal(init=1)
        union = Signal(len(lanes[0]), reset_less=True)
        count = Signal.like(self.more)
        with m.If(present[-1]):
            m.d.sync += [
                first.eq(end),
                union.eq(joined | Mux(first, 0, union)),
                count.eq(Mux(first, 0, count + 1)),
            ]
        # The count has its last value together with the union, a cycle before it is wanted.
        m.d.sync += self.more.eq(count)
        return union

    def _needed(self, m: Module, magnitude: Value, operand: Value, lane: int) -> Value:
        """Return for each excess, from 0 on, whether the value wants it, or less if a larger does.

        Bit p stands for bit ``p + bits - 2`` of the magnitude, bit 0 for all up to there.
        """
        bits, margin = self.bits, self.margin
        fours = Signal(FIXED_BITS - 3, name=f"fours_{lane}")  # four ones, from this bit up
        m.d.comb += [
            four.eq(magnitude[bit : bit + 4].all()) for bit, four in enumerate(fours)
        ]

        def ones(low: int, count: int) -> Value:
            whole = [fours[bit] for bit in range(low, low + count - 3, 4)]
            return Cat(*whole, fours[low + count - 4]).all()

        needed = [magnitude[: bits - 1].any(), magnitude[bits - 1]]
        for low in range(FIXED_BITS - bits):
            rounds_up = ones(low, bits)
            if margin:
                below = low - margin
                more = magnitude[below:low].all() if below >= 0 else C(0)
                rounds_up &= operand | more
            needed.append(magnitude[low + bits] | rounds_up)
        return Cat(*needed)
