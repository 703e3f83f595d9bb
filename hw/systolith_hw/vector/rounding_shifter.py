"""Shift right, round to nearest even, clip: the one rounding of the vector unit."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RoundingShifter"]


class RoundingShifter(wiring.Component):
    """Divide by a power of two, rounded to nearest, ties to even, and clip.

    In integers, the sum being left to the adder that follows anyway::

        floor + up = clip(RNE(value / 2**shift), -2**(n - 1), 2**(n - 1) - 1)

    The distance is taken in three digits, the largest first. A *guard* bit (worth a half) and a
    *sticky* bit (any one below it) follow the value; bits that cannot come down into the
    result any more are dropped as soon as they are known to be copies of the sign. ::

        value ──►[ >> digit 2 ]──►[ >> digit 1 ]──►[ >> digit 0, up, clipped ]──► floor, up

    =========== ====================================================
    Latency     3 cycles (:attr:`latency`)
    Throughput  1 value per cycle; never stalls
    Golden      :func:`systolith_sim.vector.requantizer.round_half_even`
    =========== ====================================================

    Parameters
    ----------
    value_bits, shift_bits, result_bits : int
        Width of the signed value, of the distance (3 to 6) and of the signed result, n.

    Members
    -------
    value : In(signed(value_bits))
        What is divided.
    shift : In(shift_bits)
        By which power of two.
    infinite : In(1)
        Clip whatever the value is.
    floor : Out(signed(result_bits))
        The result, rounded down, and clipped.
    up : Out(1)
        One must be added to it; never leaves the range.
    clipped : Out(1)
        The result did not fit, or not before it was rounded up.
    """

    latency = 3

    value: Signal
    shift: Signal
    infinite: Signal
    floor: Signal
    up: Signal
    clipped: Signal

    def __init__(self, value_bits: int, shift_bits: int, result_bits: int) -> None:
        self.value_bits = value_bits
        self.shift_bits = shift_bits
        self.result_bits = result_bits
        super().__init__({
            "value": In(signed(value_bits)),
            "shift": In(shift_bits),
            "infinite": In(1),
            "floor": Out(signed(result_bits)),
            "up": Out(1),
            "clipped": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = self.result_bits

        value: Value = self.value
        guard: Value = C(0, 1)
        sticky: Value = C(0, 1)
        negative, outside, shift = self.value[-1], self.infinite, self.shift
        top = self.shift_bits
        for low in (top - 2, max(top - 4, 1), 0):
            kept = min(self.value_bits, bits + (1 << low) - 1)
            sticky, guard, value, spilled = self._divide(
                m, Cat(sticky, guard), value, shift[low:], low, kept
            )
            outside_now = Signal(name=f"outside_{low}")
            m.d.comb += outside_now.eq(outside | spilled)
            if low:
                sticky, guard, value, outside, negative, shift = _register(
                    m, low, sticky, guard, value, outside_now, negative, shift[:low]
                )

        # The carry of the largest result would leave the range: that is clipping, too.
        up, full = Signal(), Signal()
        m.d.comb += [
            up.eq(guard & (sticky | value[0])),
            full.eq(value[: bits - 1].all() & ~value[-1]),
        ]
        value, up, clipped, negative = _register(
            m, 0, value, up, outside_now | (full & up), negative
        )
        limit = Cat((~negative).replicate(bits - 1), negative)
        m.d.comb += [
            self.floor.eq(Mux(clipped, limit.as_signed(), value)),
            self.up.eq(up & ~clipped),
            self.clipped.eq(clipped),
        ]
        return m

    def _divide(
        self, m: Module, tail: Value, value: Value, digit: Value, low: int, kept: int
    ) -> tuple[Signal, Signal, Signal, Signal]:
        """Shift by ``digit * 2**low``; return sticky, guard, value and "more did not fit"."""
        sticky = Signal(name=f"sticky_{low}")
        guard = Signal(name=f"guard_{low}")
        result = Signal(signed(kept), name=f"value_{low}")
        spilled = Signal(name=f"spilled_{low}")
        furthest = (1 << len(digit)) - 1 << low
        extended = Cat(tail, value, value[-1].replicate(furthest))
        with m.Switch(digit):
            for number in range(1 << len(digit)):
                distance = number << low
                shifted = extended[distance : distance + len(tail) + len(value)]
                rest = shifted[len(tail) + kept - 1 :]
                with m.Case(number):
                    m.d.comb += [
                        sticky.eq(extended[: distance + 1].any()),
                        Cat(guard, result).eq(shifted[1:]),
                        spilled.eq(rest.any() & ~rest.all()),
                    ]
        return sticky, guard, result, spilled


def _register(m: Module, stage: int, *values: Value) -> list[Signal]:
    """Return ``values``, one cycle later."""
    registers = []
    for index, value in enumerate(values):
        register = Signal(value.shape(), name=f"stage_{stage}_{index}", reset_less=True)
        m.d.sync += register.eq(value)
        registers.append(register)
    return registers
