"""Find the exponent that a block of fixed-point values shares."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config

__all__ = ["BASE_BITS", "BlockExponent", "fixed_beat"]

BASE_BITS = 5


def fixed_beat(config: Config) -> data.StructLayout:
    """Return the shape of L fixed-point values of an activation word under way.

    ``end`` marks the word's last beat; ``base`` is the number of bits below exponent 0.
    """
    return data.StructLayout({
        "data": data.ArrayLayout(signed(FIXED_BITS), config.vector.lanes),
        "end": 1,
        "base": BASE_BITS,
    })


class BlockExponent(wiring.Component):
    """Find the smallest exponent with which every value of a word, rounded down, is a mantissa.

    The smallest e in 0..window with ``max >> (base + e) < 2**(n - 1)``, n being ``mantissa_bits``;
    window if there is none. No maximum is searched, since only the bit length of the largest
    magnitude counts, and that is the bit length of the *union* (or) of all of them. Nor are values
    made positive: the bits of negative ones are inverted, so that -2**k looks one bit shorter than
    it is. Whoever uses the exponent sees such a value, and one that rounds up to a further bit, as
    a mantissa too large by one, and adds one to the exponent. ::

        i ──►[ pairs joined ]──►[ union ]──►[ excess ]──►[ exponent, distance ]
              cycle 0            cycle 1     cycle 2      cycle 3

    =========== ====================================================
    Latency     4 cycles (:attr:`latency`) from a word's last beat to its exponent
    Throughput  1 beat per cycle; never stalls
    Golden      :func:`systolith_sim.vector.normalizer.normalize`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes and widths.

    Members
    -------
    i : In(stream of fixed_beat(config), always ready)
        Values.
    ready : Out(1), more : Out(range(R / L))
        The next cycle is the first with the outputs below for a word of ``more + 1`` beats.
    exponent : Out(exponent_bits)
        The block exponent; stays until the next word's.
    distance : Out(5)
        How far its values are to be shifted: ``base + exponent``, never above 31.
    zero : Out(1)
        All of its values are zero.
    """

    latency = 4

    i: stream.Interface
    ready: Signal
    more: Signal
    exponent: Signal
    distance: Signal
    zero: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(fixed_beat(config), always_ready=True)),
            "ready": Out(1),
            "more": Out(range(config.array.rows // config.vector.lanes)),
            "exponent": Out(config.array.exponent_bits),
            "distance": Out(BASE_BITS),
            "zero": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        ending: list[Value] = [self.i.valid & self.i.payload.end]
        base: list[Value] = [self.i.payload.base]
        for age in range(1, self.latency):
            ending.append(Signal(name=f"ending_{age}"))
            base.append(Signal(BASE_BITS, name=f"base_{age}", reset_less=True))
            m.d.sync += [ending[age].eq(ending[age - 1]), base[age].eq(base[age - 1])]
        union = self._elaborate_union(m, ending[1])

        # How far the largest value must go to the right to be a mantissa: the place of the union's
        # leading one. How far the exponents allow it to go is known before.
        window = self.config.array.window
        excess = Signal(range(len(union)), reset_less=True)
        highest = Signal(range((1 << BASE_BITS) + window), reset_less=True)
        empty = Signal(reset_less=True)
        m.d.sync += [excess.eq(0), empty.eq(~union.any()), highest.eq(base[-2] + window)]
        for place in range(len(union)):
            with m.If(union[place]):
                m.d.sync += excess.eq(place)

        m.d.comb += self.ready.eq(ending[-1])
        with m.If(self.ready):
            m.d.sync += self.zero.eq(empty)
            with m.If(excess < base[-1]):
                m.d.sync += [self.exponent.eq(0), self.distance.eq(base[-1])]
            with m.Elif(excess > highest):
                m.d.sync += [self.exponent.eq(window), self.distance.eq(highest)]
            with m.Else():
                m.d.sync += [self.exponent.eq(excess - base[-1]), self.distance.eq(excess)]
        return m

    def _elaborate_union(self, m: Module, end: Value) -> Signal:
        """Join the bits of a word's values that no mantissa has room for; count its beats.

        The lowest bit stands for all below, and for minus one.
        """
        low = self.config.array.mantissa_bits - 1
        lanes = []
        for value in self.i.payload.data:
            sign = value[-1]
            high = value[low:-1] ^ sign.replicate(FIXED_BITS - 1 - low)
            lanes.append(Cat(value[:low].any() | sign, high))
        joined: Value = C(0, FIXED_BITS - low)
        for index in range(0, len(lanes), 2):
            pair = Signal(FIXED_BITS - low, name=f"pair_{index // 2}", reset_less=True)
            m.d.sync += pair.eq(lanes[index] | lanes[min(index + 1, len(lanes) - 1)])
            joined = joined | pair

        present = Signal()
        first = Signal(init=1)
        union = Signal(FIXED_BITS - low, reset_less=True)
        count = Signal.like(self.more)
        m.d.sync += present.eq(self.i.valid)
        with m.If(present):
            m.d.sync += [
                first.eq(end),
                union.eq(joined | Mux(first, 0, union)),
                count.eq(Mux(first, 0, count + 1)),
            ]
        # The count has its last value together with the union, a cycle before it is wanted.
        m.d.sync += self.more.eq(count)
        return union
