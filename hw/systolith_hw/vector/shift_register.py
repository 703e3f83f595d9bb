"""The one shifter of the vector unit for small devices: a register."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, NORMAL_BITS, SHIFT_BITS, Config
from .multiplier import PRODUCT_BITS

__all__ = ["DISTANCE_BITS", "ShiftRegister"]

FAR = 4
"""Places of a long step; a short one is 1."""

DISTANCE_BITS = SHIFT_BITS + 1


class ShiftRegister(wiring.Component):
    """Shift an integer to the right, by 4 or by 1 in each cycle, and keep account of it.

    Of the bits that leave, the last is kept as a *guard* (worth a half), and of those before it
    whether any was one (*sticky*). ::

        value ──┐
        total ──┴──►( or )──►[ word ]──┬──► word, rest, up
                      ▲                ├──► how many bits it takes
                      └── >> 4 or 1 ◄──┘

    An ``or`` of what may come takes one logic cell for each bit, a choice would take more. So the
    word is zero when another one comes, and what may come is zero while the word is shifted.

    =========== ====================================================
    Latency     1 cycle; n // 4 + n % 4 more for a shift by n
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Widths of accumulators and mantissas.

    Members
    -------
    value : In(signed(accumulator_bits)), load : In(1)
        An integer to take.
    total : In(signed(34))
        Another one, zero at all times but when it is to be taken.
    add : In(signed(8))
        Added to the distance that is still to go; while nothing is shifted.
    fit : In(1)
        Shift until a significand is left, and take that from the distance.
    round : In(1), more : In(1)
        Shift until no distance is left; and then by one more place.
    settled : Out(1)
        One of the two is the case. In the next cycle the word will be zero; after ``round``, the
        distance, too.
    word : Out(signed(max(accumulator_bits, 34)))
        The integer, rounded down.
    rest, up : Out(1)
        It is not exact; one must be added to round it to nearest, ties to even.
    before : Out(1)
        The distance that was to go is negative.
    further : Out(1)
        It is being shifted by one more place.
    fits_fixed, fits_mantissa : Out(1)
        The word has no more bits than a fixed-point value, than a mantissa.
    """

    value: Signal
    load: Signal
    total: Signal
    add: Signal
    fit: Signal
    round: Signal
    more: Signal
    settled: Signal
    word: Signal
    rest: Signal
    up: Signal
    before: Signal
    further: Signal
    fits_fixed: Signal
    fits_mantissa: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = config.array.accumulator_bits
        self.bits = max(bits, PRODUCT_BITS)
        super().__init__({
            "value": In(signed(bits)),
            "load": In(1),
            "total": In(signed(PRODUCT_BITS)),
            "add": In(signed(DISTANCE_BITS)),
            "fit": In(1),
            "round": In(1),
            "more": In(1),
            "settled": Out(1),
            "word": Out(signed(self.bits)),
            "rest": Out(1),
            "up": Out(1),
            "before": Out(1),
            "further": Out(1),
            "fits_fixed": Out(1),
            "fits_mantissa": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        fits_significand, far_from_significand = self._elaborate_fits(m)
        distance = Signal(signed(DISTANCE_BITS))
        arrived, far = Signal(), Signal()
        m.d.comb += [
            self.before.eq(distance < 0),
            arrived.eq(Mux(self.fit, fits_significand, self.before | ~distance.any())),
            far.eq(Mux(self.fit, far_from_significand, distance[FAR.bit_length() - 1 : -1].any())),
            self.further.eq(self.round & arrived & self.more),
            self.settled.eq((self.fit | self.round) & arrived & ~self.further),
        ]
        moves = (self.fit | self.round) & ~arrived
        m.d.sync += distance.eq(distance + Mux(moves, Mux(far, -FAR, -1), self.add))
        with m.If(self.round & self.settled):
            m.d.sync += distance.eq(0)
        self._elaborate_word(m, far)
        return m

    def _elaborate_word(self, m: Module, far: Value) -> None:
        """Shift the word and what is left of the bits below."""
        word = self.word
        guard, sticky = Signal(), Signal()
        shifted = Signal(signed(self.bits))
        loaded = Signal(signed(self.bits))
        m.d.comb += [
            shifted.eq(Mux(far, word >> FAR, word >> 1)),
            loaded.eq(Mux(self.load, self.value, 0)),
            self.rest.eq(guard | sticky),
            self.up.eq(guard & (sticky | word[0])),
        ]
        m.d.sync += [
            word.eq(shifted | loaded | self.total),
            guard.eq(Mux(far, word[FAR - 1], word[0])),
            sticky.eq(self.rest | (far & word[: FAR - 1].any())),
        ]
        with m.If(self.settled):
            m.d.sync += [word.eq(0), guard.eq(0), sticky.eq(0)]

    def _elaborate_fits(self, m: Module) -> tuple[Value, Value]:
        """Compare the bits above some places with the sign, each only once.

        Return whether the word is a significand, and whether it is too long by a long step.
        """
        fits_significand, nearly = Signal(), Signal()
        short: Value = C(1, 1)  # no bit so far differs from the sign
        top = self.bits - 1
        for fits, bits in (
            (self.fits_fixed, FIXED_BITS),
            (nearly, NORMAL_BITS + FAR - 1),
            (fits_significand, NORMAL_BITS),
            (self.fits_mantissa, self.config.array.mantissa_bits),
        ):
            differ = self.word[bits - 1 : top] ^ self.word[-1].replicate(top - bits + 1)
            m.d.comb += fits.eq(short & ~differ.any())
            short, top = fits, bits - 1
        return fits_significand, ~nearly
