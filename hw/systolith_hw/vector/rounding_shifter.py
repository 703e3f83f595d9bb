"""Shift right, round to nearest even, clip: the one rounding of the vector unit."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RoundingShifter"]

GROUPS = ((16,), (32, 8, 4), (2, 1))
"""Powers of two of the distance, between registers. 32 does little but clear bits."""


class RoundingShifter(wiring.Component):
    """Divide by a power of two, rounded to nearest, ties to even, and clip.

    In integers, the sum being left to the adder that follows anyway::

        floor + up = clip(RNE(value / 2**shift), -2**(n - 1), 2**(n - 1) - 1)

    The bits of a negative value are inverted on the way, so that zeros come in from above and all
    ones are the limit on either side. A *guard* bit (worth a half) and a *sticky* bit (any one
    below it) follow the value; bits that cannot come down into the result any more are dropped as
    soon as they are known to be zero. ::

        value ──►[ >> 16 ]──►[ >> 32, 8, 4 ]──►[ limit; >> 2, 1; up, clipped ]──► floor, up

    =========== ====================================================
    Latency     3 cycles (:attr:`latency`)
    Throughput  1 value per cycle; never stalls
    Golden      :func:`systolith_sim.vector.requantizer.round_half_even`
    =========== ====================================================

    Parameters
    ----------
    value_bits, shift_bits, result_bits : int
        Width of the signed value, of the distance (5 or 6) and of the signed result, n.

    Members
    -------
    value : In(signed(value_bits))
        What is divided.
    shift : In(shift_bits)
        By which power of two; at most 3 for an ``infinite`` value.
    infinite : In(1)
        Clip whatever the value is.
    floor : Out(signed(result_bits))
        The result, rounded down, and clipped.
    up : Out(1)
        One must be added to it; never leaves the range.
    clipped : Out(1)
        The result did not fit, or not before it was rounded up.
    inexact : Out(1)
        The quotient is no integer; of one that does not fit it says nothing.
    """

    latency = len(GROUPS)

    value: Signal
    shift: Signal
    infinite: Signal
    floor: Signal
    up: Signal
    clipped: Signal
    inexact: Signal

    def __init__(self, value_bits: int, shift_bits: int, result_bits: int) -> None:
        super().__init__({
            "value": In(signed(value_bits)),
            "shift": In(shift_bits),
            "infinite": In(1),
            "floor": Out(signed(result_bits)),
            "up": Out(1),
            "clipped": Out(1),
            "inexact": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = len(self.floor) - 1
        negative: Value = self.value[-1]
        word: Value = self.value[:-1] ^ negative.replicate(len(self.value) - 1)
        tail: Value = C(0, 2)
        beyond: Value = self.infinite
        shift: Value = self.shift
        left = (1 << len(shift)) - 1  # the distance still to go, at most
        for group in GROUPS:
            if group == GROUPS[-1]:
                # Those that do not fit become all ones while they are up to three bits too long.
                limit = Signal(name="limit")
                m.d.comb += limit.eq(beyond | (word >> shift[:2])[bits:].any())
                beyond, word = limit, word | limit.replicate(len(word))
            for power in group:
                if power & left:
                    left -= power
                    by = shift[power.bit_length() - 1]
                    tail, word, spilled = _divide(m, negative, tail, word, by, power, bits + left)
                    beyond = beyond | spilled
            if left:
                negative, tail, word, beyond, shift = _register(
                    m, left, negative, tail, word, beyond, shift
                )

        sticky, guard = tail
        floor = Signal.like(self.floor, reset_less=True)
        up, outside = Signal(reset_less=True), Signal(reset_less=True)
        inexact = Signal(reset_less=True)
        rounded = Cat(word ^ negative.replicate(bits), negative)
        m.d.sync += [
            floor.eq(rounded.as_signed()),
            up.eq(guard & (sticky | rounded[0]) & ~beyond),
            outside.eq(beyond),
            inexact.eq(guard | sticky),
        ]
        # The carry of the largest result would leave the range: that is clipping, too.
        full = floor[:-1].all() & ~floor[-1] & up
        m.d.comb += [
            self.floor.eq(floor),
            self.up.eq(up & ~full),
            self.clipped.eq(outside | full),
            self.inexact.eq(inexact),
        ]
        return m


def _divide(
    m: Module, negative: Value, tail: Value, word: Value, by: Value, power: int, kept: int
) -> tuple[Value, Value, Value]:
    """Shift by ``power``, if ``by`` is one; return tail, ``kept`` bits, and "more did not fit".

    The tail is sticky and guard, of the value itself; of the word, the value's sign may be taken.
    """
    sticky, guard = tail
    dropped = Cat(word, C(0, power))[:power] ^ negative.replicate(power)
    shifted = Signal(len(word), name=f"shifted_{power}")
    divided = Signal(2, name=f"tail_{power}")
    m.d.comb += [
        shifted.eq(Mux(by, word[power:], word)),
        divided.eq(Mux(by, Cat(sticky | guard | dropped[:-1].any(), dropped[-1]), tail)),
    ]
    return divided, shifted[:kept], shifted[kept:].any()


def _register(m: Module, left: int, *values: Value) -> list[Signal]:
    """Return ``values``, one cycle later."""
    registers = []
    for index, value in enumerate(values):
        register = Signal(value.shape(), name=f"register_{left}_{index}", reset_less=True)
        m.d.sync += register.eq(value)
        registers.append(register)
    return registers
