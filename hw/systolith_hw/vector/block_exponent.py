"""Find the exponent that a block of fixed-point values shares."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config

__all__ = ["BASE_BITS", "BlockExponent", "fixed_beat"]

BASE_BITS = 5
GROUP = 8
"""Magnitudes are searched for their leading one by groups of this many bits, then inside one."""


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
    """Find the smallest exponent with which every value of a word rounds to a mantissa.

    The smallest e in 0..window with ``RNE(max / 2**(base + e)) < 2**(n - 1)``, n being
    ``mantissa_bits``; window if there is none. No maximum is searched, since only the bit length of
    the largest magnitude counts, and that is the bit length of the *union* (or) of all of them.
    Rounding lengthens it by one just if n ones follow one another from its leading one down: such
    *runs* are found in every magnitude and joined likewise. ::

        i ──►[ magnitudes ]──►[ union, runs ]──►[ group ]──►[ length ]──►[ exponent, distance ]
              cycle 0           cycle 1          cycle 2     cycle 3      cycle 4

    =========== ====================================================
    Latency     5 cycles (:attr:`latency`) from a word's last beat to its exponent
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

    latency = 5

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
        union, runs = self._elaborate_union(m, ending[1])

        # The group of the leading one, and the runs that begin there.
        groups = FIXED_BITS // GROUP
        group = Signal(GROUP, reset_less=True)
        group_runs = Signal(GROUP, reset_less=True)
        number = Signal(range(groups), reset_less=True)
        for index in range(groups):
            part = slice(index * GROUP, (index + 1) * GROUP)
            with m.If(union[part].any() if index else Const(1)):
                m.d.sync += [
                    group.eq(union[part]), group_runs.eq(runs[part]), number.eq(index)
                ]  # fmt: skip

        # Bits of the largest magnitude, rounded.
        length = Signal(range(FIXED_BITS + 2), reset_less=True)
        empty = Signal(reset_less=True)
        m.d.sync += [length.eq(0), empty.eq(~group.any())]
        for bit in range(GROUP):
            with m.If(group[bit]):
                m.d.sync += length.eq(Cat(C(bit, 3), number) + 1 + group_runs[bit])

        # The length of a mantissa at exponent 0, and at the largest; known before the values'.
        array = self.config.array
        mantissa, window = array.mantissa_bits - 1, array.window
        lowest = Signal(range(mantissa + (1 << BASE_BITS)), reset_less=True)
        highest = Signal(range(mantissa + (1 << BASE_BITS) + window), reset_less=True)
        m.d.sync += [lowest.eq(base[-2] + mantissa), highest.eq(base[-2] + (mantissa + window))]

        m.d.comb += self.ready.eq(ending[-1])
        with m.If(self.ready):
            m.d.sync += self.zero.eq(empty)
            with m.If(length < lowest):
                m.d.sync += [self.exponent.eq(0), self.distance.eq(base[-1])]
            with m.Elif(length > highest):
                m.d.sync += [self.exponent.eq(window), self.distance.eq(base[-1] + window)]
            with m.Else():
                m.d.sync += [self.exponent.eq(length - lowest), self.distance.eq(length - mantissa)]
        return m

    def _elaborate_union(self, m: Module, end: Value) -> tuple[Value, Value]:
        """Join the magnitudes of a word, and their runs; count its beats."""
        bits = self.config.array.mantissa_bits
        present = Signal()
        first = Signal(init=1)
        union = Signal(FIXED_BITS, reset_less=True)
        runs = Signal(FIXED_BITS, reset_less=True)
        joined: Value = C(0, FIXED_BITS)
        joined_runs: Value = C(0, FIXED_BITS)
        for lane in range(self.config.vector.lanes):
            magnitude = Signal(FIXED_BITS, name=f"magnitude_{lane}", reset_less=True)
            m.d.sync += magnitude.eq(abs(self.i.payload.data[lane]))
            joined = joined | magnitude
            joined_runs = joined_runs | Cat(
                magnitude[top - bits + 1 : top + 1].all() if top >= bits - 1 else C(0, 1)
                for top in range(FIXED_BITS)
            )

        count = Signal(len(self.more))
        m.d.sync += present.eq(self.i.valid)
        with m.If(present):
            m.d.sync += [
                first.eq(end),
                union.eq(joined | Mux(first, 0, union)),
                runs.eq(joined_runs | Mux(first, 0, runs)),
                count.eq(Mux(first, 0, count + 1)),
            ]

        # The count has its last value together with the union, two cycles before it is wanted.
        late = Signal.like(count, reset_less=True)
        more = Signal.like(count, reset_less=True)
        m.d.sync += [late.eq(count), more.eq(late)]
        m.d.comb += self.more.eq(more)
        return union, runs
