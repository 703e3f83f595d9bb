"""A word that shifts numbers: until they begin with a one, or to where their integers stand."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import NORMAL_BITS

__all__ = ["INTEGER_BITS", "MOVED_BITS", "POINT", "SIGNIFICAND_BITS", "MovingWord"]

INTEGER_BITS = 64
PRODUCT_BITS = 2 * NORMAL_BITS
POINT = PRODUCT_BITS - 1
"""Bits below an integer's: all those of a product that rounds to zero."""

WORD_BITS = INTEGER_BITS + POINT
FINE_BITS = 4
COARSE = 1 << FINE_BITS
STEPS = INTEGER_BITS // COARSE
SIGNIFICAND_BITS = PRODUCT_BITS + COARSE - 2
"""Bits that are shifted finely: those of a product, and as many as it may move."""

MOVED_BITS = FINE_BITS + STEPS.bit_length()


class MovingWord(wiring.Component):
    """Normalise numbers, and bring products to where their integer part is aligned.

    The word moves by 16 bits in a cycle; the rest of the way, up to 15 bits, lies on the way out of
    it (for a number, which was loaded at its top) or into it (for a product, at its bottom). ::

        number ──►┌───────────────────────┐
                  │ ◄── 16 bits per cycle │──┬───────► integer
        ┌────────►└───────────────────────┘  │
        │                                    ▼
        └────────────[ << 0..15 ]◄───────────●◄─── product
                          └────► significand

    =========== ========================================================================
    Latency     2 to 5 cycles from ``load`` to ``settles``, and 1 to 4 from ``place``:
                one for each 16 bits that it moves
    Throughput  one at a time
    =========== ========================================================================

    Parameters
    ----------
    bits : int
        Width of numbers, up to 79.

    Members
    -------
    load : In(1)
        Take ``number``, and normalise it.
    number : In(bits)
        What is normalised.
    even : In(1)
        Move by an even number of bits only; stays until it settles.
    aligns : In(1)
        The distance is right, and counts; in the cycle before ``place``.
    place : In(1)
        Take ``product * 2**(distance - 35)``; not together with ``load``.
    product : In(36)
        Below 2**34.
    distance : In(signed(8))
        Below zero it gives zero; more than 64 may lead out of the word.
    settles : Out(1)
        The outputs below are right in the next cycle.
    integer : Out(64)
        Of what was placed, rounded down, or the highest bits of the word.
    below : Out(35)
        The rest of the word: the fraction.
    significand : Out(50)
        The number's highest bits, from its leading one on, or with ``even`` perhaps one before;
        the lowest 15 only of numbers of at most 50 bits, and zeros for longer ones.
    moved : Out(7)
        How far to the left it moved.
    """

    load: Signal
    number: Signal
    even: Signal
    aligns: Signal
    place: Signal
    product: Signal
    distance: Signal
    settles: Signal
    integer: Signal
    below: Signal
    significand: Signal
    moved: Signal

    def __init__(self, bits: int) -> None:
        super().__init__({
            "load": In(1),
            "number": In(bits),
            "even": In(1),
            "aligns": In(1),
            "place": In(1),
            "product": In(PRODUCT_BITS),
            "distance": In(signed(8)),
            "settles": Out(1),
            "integer": Out(INTEGER_BITS),
            "below": Out(POINT),
            "significand": Out(SIGNIFICAND_BITS),
            "moved": Out(MOVED_BITS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        word = Signal(WORD_BITS, reset_less=True)
        looks = Signal()  # at a number that has just been loaded
        steps, left = (Signal(range(8), name=name, reset_less=True) for name in ("steps", "left"))
        fine = Signal(FINE_BITS, reset_less=True)
        shifts_product = Signal(reset_less=True)
        m.d.comb += [
            self.significand.eq(
                Mux(shifts_product, self.product, word[-SIGNIFICAND_BITS:]) << fine
            ),
            self.settles.eq(~looks & (left <= 1)),
            self.moved.eq(Cat(fine, steps)),
            self.below.eq(word),
            self.integer.eq(word[POINT:]),
        ]
        m.d.sync += [looks.eq(self.load), shifts_product.eq(self.aligns)]
        with m.If(self.load):
            m.d.sync += word.eq(self.number << WORD_BITS - len(self.number))
        with m.Elif(self.place):
            m.d.sync += [word.eq(self.significand), left.eq(self.distance[FINE_BITS:])]
        with m.Elif((left != 0) & ~looks):
            m.d.sync += [word.eq(word << COARSE), left.eq(left - 1)]
        with m.If(self.place & self.distance[-1]):
            m.d.sync += [word.eq(0), left.eq(0)]
        with m.If(looks):
            for step in reversed(range(STEPS + 1)):
                part = word[WORD_BITS - COARSE * (step + 1) :][:COARSE]
                with m.If(part.any() if step < STEPS else C(1)):
                    m.d.sync += [steps.eq(step), left.eq(step), fine.eq(_leading_zeros(part))]
            with m.If(self.even):
                m.d.sync += fine[0].eq(0)
        with m.Elif(self.aligns):
            m.d.sync += fine.eq(self.distance)
        return m


def _leading_zeros(top: Value) -> Value:
    """Return how many zeros 16 bits begin with, or 15."""
    nibbles = [top.word_select(index, 4) for index in range(4)]
    _, second, third, last = (nibble.any() for nibble in nibbles)
    nibble = Mux(
        last | third, Mux(last, nibbles[3], nibbles[2]), Mux(second, nibbles[1], nibbles[0])
    )
    return Cat(
        ~(nibble[3] | (~nibble[2] & nibble[1])),
        ~(nibble[3] | nibble[2]),
        ~(last | (~third & second)),
        ~(last | third),
    )
