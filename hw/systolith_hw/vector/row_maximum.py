"""Find the reference of a row's powers of two: the integer part of its largest value."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config
from ..tables import FRACTION

__all__ = ["INTEGER_BITS", "RowMaximum", "integer_beat"]

INTEGER_BITS = FIXED_BITS - FRACTION


def integer_beat(config: Config) -> data.StructLayout:
    """Return the shape of L integer parts, ``z >> 16``, of a row; only those of ``keep`` count."""
    lanes = config.vector.lanes
    return data.StructLayout({
        "integers": data.ArrayLayout(signed(INTEGER_BITS), lanes),
        "keep": lanes, "first": 1, "last": 1,
    })  # fmt: skip


class RowMaximum(wiring.Component):
    """Compute ``max(z) >> 16``, which is ``max(z >> 16)``, over the kept lanes of a row's beats.

    Pairs are compared side by side and then each other, with a register behind each comparison, and
    the largest of a beat with the largest before it.

    =========== ==================================================================
    Latency     log2(lanes) + 1 cycles (:attr:`latency`) from a row's last beat
    Throughput  1 beat per cycle, the next row's right behind; never stalls
    Golden      :func:`systolith_sim.vector.exponential.reference`
    =========== ==================================================================

    Parameters
    ----------
    config : Config
        Lanes.

    Members
    -------
    i : In(stream of integer_beat(config), always ready)
        Beats; ``first`` begins a row and ``last`` ends it, perhaps in the same one. A beat may keep
        no lane, a row must keep one.
    o : Out(stream of signed(16), always ready)
        References of rows. The payload stays until the first beat of the next row gets there.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: Config) -> None:
        self.lanes = config.vector.lanes
        super().__init__({
            "i": In(stream.Signature(integer_beat(config), always_ready=True)),
            "o": Out(stream.Signature(signed(INTEGER_BITS), always_ready=True)),
        })

    @property
    def latency(self) -> int:
        """Cycles from a row's last beat to its reference."""
        return (self.lanes - 1).bit_length() + 1

    def elaborate(self, platform) -> Module:
        m = Module()
        beat = self.i.payload
        level: list[tuple[Value, Value]] = [
            (beat.keep[lane], beat.integers[lane]) for lane in range(self.lanes)
        ]
        valid: Value = self.i.valid
        ends: Value = Cat(beat.first, beat.last)
        while len(level) > 1:
            pairs = [_larger(*pair) for pair in zip(level[::2], level[1::2], strict=True)]
            level = []
            for index, pair in enumerate(pairs):
                kept = Signal(name=f"kept_{len(pairs)}_{index}", reset_less=True)
                largest = Signal(
                    signed(INTEGER_BITS), name=f"largest_{len(pairs)}_{index}", reset_less=True
                )
                m.d.sync += [kept.eq(pair[0]), largest.eq(pair[1])]
                level.append((kept, largest))
            before = valid, ends
            valid = Signal(name=f"valid_{len(pairs)}")
            ends = Signal(2, name=f"ends_{len(pairs)}", reset_less=True)
            m.d.sync += [valid.eq(before[0]), ends.eq(before[1])]

        first, last = ends
        any_before = Signal()
        so_far = Signal.like(self.o.payload, reset_less=True)
        m.d.comb += self.o.payload.eq(so_far)
        any_now, largest_now = _larger((any_before & ~first, so_far), level[0])
        m.d.sync += self.o.valid.eq(valid & last)
        with m.If(valid):
            m.d.sync += [any_before.eq(any_now), so_far.eq(largest_now)]
        return m


def _larger(a: tuple[Value, Value], b: tuple[Value, Value]) -> tuple[Value, Value]:
    """Return the larger of two values, of those that are kept, and whether one is."""
    return a[0] | b[0], Mux(_order(*a) >= _order(*b), a[1], b[1])


def _order(kept: Value, value: Value) -> Value:
    """Return a number without sign that is the larger, the larger a value is, if it is kept."""
    return Cat(value[:-1], ~value[-1], kept)
