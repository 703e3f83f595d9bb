"""Make the factor of a row from its sums: one over their sum, or over their deviation."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, NORMAL_BITS, SCALE_BITS, Config
from ..isa import SLOT_BITS
from .block_exponent import BASE_BITS
from .digit_recurrence import RADICAND_BITS, DigitRecurrence
from .moving_word import INTEGER_BITS, POINT, MovingWord
from .row_factor_control import Phase, RowFactorControl
from .row_shapes import factor, moments, total_bits
from .serial_multiplier import SerialMultiplier

__all__ = ["RowFactor", "row_result", "row_sums"]

SHORT_BITS = NORMAL_BITS - 1
"""Bits of a significand's magnitude where there is a sign beside it."""

INVERSE_SHIFT = 33 - NORMAL_BITS
"""Of one over a significand of 18 bits, which makes a scale of 16."""


def row_sums(config: Config) -> data.StructLayout:
    """Return the shape of what is known of a row.

    ``normal`` tells sums of mantissas from a ``total`` of powers of two, which needs nothing else.
    ``inverse`` is one over the row's length, ``base`` its words' bits below exponent 0.
    """
    sums = moments(config)
    return data.StructLayout({
        "normal": 1,
        "total": signed(max(Shape.cast(sums["total"].shape).width, total_bits(config) + 1)),
        "squares": sums["squares"].shape,
        "inverse": factor(),
        "base": BASE_BITS,
        "epsilon": SLOT_BITS,
        "centre": 1,
    })


def row_result() -> data.StructLayout:
    """Return the shape of what is made of it; the mean of powers of two is 0."""
    return data.StructLayout({"mean": signed(FIXED_BITS), "factor": factor()})


class RowFactor(wiring.Component):
    """Compute ``1 / total``, or ``total / N`` and ``1 / sqrt(squares / N - mean**2 + epsilon)``.

    Magnitudes only; each number is normalised, multiplied or not, and aligned again, one after the
    other in one :class:`~systolith_hw.vector.moving_word.MovingWord`. ::

        total ────► normalise ─► × 1 / N ──► align, round ──► mean ─┐
                    normalise ◄─────────────────────────────────────┘
                        └──────► × itself ─► align ────────── mean**2 ─┐
        squares ──► normalise ─► × 1 / N ──► align ─► − mean**2 ◄──────┘
                                                      + epsilon ─┐
                    normalise ◄──────────────────────────────────┘
                        └──────► root ─────► divide ───► factor
        total ────► normalise ─────────────► divide ───► factor    (of powers of two)

    =========== =======================================================================
    Latency     14 cycles for a total of powers of two; else about 75, at most
                :attr:`longest`, and less than 58 without ``centre``: from the cycle in
                which ``i`` is valid, none being under way, to the one in which the
                result may be taken, both counted. With ``vector.factor_steps`` of 4
                8 cycles, about 43 and about 26
    Throughput  the same
    Stall       no combinational path; ``i`` is taken in the cycle before ``o`` is offered
    Golden      :func:`systolith_sim.vector.row.reciprocal_factor`,
                :func:`systolith_sim.vector.row.normal_factor`
    =========== =======================================================================

    Parameters
    ----------
    config : Config
        The longest row, and what its mantissas may be: see :mod:`.row_shapes`.

    Members
    -------
    i : In(stream of row_sums(config))
        Of a row of which ``Normalizer`` has made words. A ``total`` of powers is at least 2**15,
        ``inverse`` not above 1, its bit 15 set, and ``epsilon`` at least 1.
    o : Out(stream of row_result())
        Mean and factor.
    """

    longest = 90

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(row_sums(config))),
            "o": Out(stream.Signature(row_result())),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        row, config = self.i.payload, self.config.vector
        m.submodules.control = control = RowFactorControl()
        m.submodules.moving_word = word = MovingWord(max(len(row.squares), INTEGER_BITS))
        m.submodules.multiplier = multiplier = SerialMultiplier(config.multiplier_bits)
        m.submodules.recurrence = recurrence = DigitRecurrence(config.factor_steps)
        m.d.comb += [
            control.row.eq(self.i.valid),
            control.normal.eq(row.normal),
            control.centre.eq(row.centre),
            control.settles.eq(word.settles),
            control.multiplied.eq(multiplier.done),
            control.divided.eq(recurrence.done),
            control.accepted.eq(self.o.ready),
            self.i.ready.eq(control.taken),
            self.o.valid.eq(control.offer),
            word.load.eq(control.load),
            word.even.eq(control.variance),
            word.aligns.eq(control.aligns),
            word.place.eq(control.place),
            word.product.eq(multiplier.product),
            multiplier.start.eq(control.multiply),
            recurrence.start.eq(control.divide),
            recurrence.root.eq(control.root),
            self.o.payload.factor.scale.eq(recurrence.result),
        ]
        self._elaborate_significand(m, control, word, multiplier, recurrence)
        self._elaborate_exponents(m, control, word)
        self._elaborate_number(m, control, word)
        return m

    def _elaborate_significand(
        self, m: Module, control: RowFactorControl, word: MovingWord,
        multiplier: SerialMultiplier, recurrence: DigitRecurrence,
    ) -> None:  # fmt: skip
        """Give the significand of a number to multiplier, divider and root."""
        significand = Signal.like(word.significand, reset_less=True)
        with m.If(control.begin):
            m.d.sync += significand.eq(word.significand)
        full = significand[-NORMAL_BITS:]
        odd = significand[-SHORT_BITS:] | significand[:-SHORT_BITS].any()
        root = recurrence.result << NORMAL_BITS - SCALE_BITS
        m.d.comb += [
            multiplier.a.eq(Mux(control.phase == Phase.SQUARES, full, odd)),
            multiplier.b.eq(Mux(control.phase == Phase.MEAN, odd, self.i.payload.inverse.scale)),
            recurrence.radicand.eq(word.significand[-RADICAND_BITS:]),
            recurrence.divisor.eq(Mux(control.quotient, root, word.significand[-NORMAL_BITS:])),
        ]

    def _elaborate_exponents(
        self, m: Module, control: RowFactorControl, word: MovingWord
    ) -> None:
        """Say how far a product moves, and the factor's shift."""
        row = self.i.payload
        moved = Signal.like(word.moved, reset_less=True)
        distance = Signal.like(word.distance, reset_less=True)
        shift = self.o.payload.factor.shift
        size_bits = len(row.total) - 1
        with m.If(control.begin):
            m.d.sync += moved.eq(word.moved)
        with m.Switch(control.phase):
            with m.Case(Phase.TOTAL):
                whole = POINT + size_bits - SHORT_BITS
                m.d.sync += distance.eq(whole + row.base - row.inverse.shift - moved)
            with m.Case(Phase.MEAN):
                whole = POINT + 2 * (FIXED_BITS - SHORT_BITS)
                m.d.sync += distance.eq(whole - (moved << 1))
            with m.Default():
                whole = POINT + len(row.squares) - NORMAL_BITS
                m.d.sync += distance.eq(whole + (row.base << 1) - row.inverse.shift - moved)
        m.d.comb += word.distance.eq(distance)
        with m.If(control.phase == Phase.RECIPROCAL):
            m.d.sync += shift.eq(INVERSE_SHIFT + total_bits(self.config) - moved)
        with m.Elif(control.quotient):
            m.d.sync += shift.eq(INVERSE_SHIFT + RADICAND_BITS - moved[1:])

    def _elaborate_number(self, m: Module, control: RowFactorControl, word: MovingWord) -> None:
        """Give the word its next number."""
        row = self.i.payload
        size = self._elaborate_mean(m, control, word)
        difference, below_zero = self._elaborate_difference(m, control, word)
        last = control.variance
        takes_difference = Signal()
        early = Signal.like(word.number)

        def show(number: Value) -> Any:
            return early.eq(number << len(early) - len(number))

        with m.Switch(control.phase):
            with m.Case(Phase.RECIPROCAL):
                m.d.comb += show(row.total[: total_bits(self.config)])
                with m.If(row.normal):
                    m.d.comb += show(abs(row.total)[: len(row.total) - 1])
                    with m.If(~row.centre):
                        m.d.comb += show(row.squares)
            with m.Case(Phase.TOTAL):
                m.d.comb += show(size)
            with m.Case(Phase.MEAN):
                m.d.comb += show(row.squares)
            with m.Default():
                with m.If(last & below_zero):
                    m.d.comb += show(Cat(row.epsilon, C(0, INTEGER_BITS - SLOT_BITS)))
        # The difference comes late, so that it is chosen last.
        shown = difference & takes_difference.replicate(INTEGER_BITS)
        m.d.comb += [
            takes_difference.eq((control.phase == Phase.SQUARES) | (last & ~below_zero)),
            word.number.eq(early | shown << len(early) - INTEGER_BITS),
        ]

    def _elaborate_difference(
        self, m: Module, control: RowFactorControl, word: MovingWord
    ) -> tuple[Value, Value]:
        """Take the mean's square off; then add epsilon. Return that, and "was below zero"."""
        # Epsilon is added as ~epsilon, and one more, taken off.
        subtrahend = Signal(INTEGER_BITS)
        difference = Signal(INTEGER_BITS + 1)
        below_zero = Signal(reset_less=True)
        m.d.comb += difference.eq(word.integer - subtrahend - control.variance)
        m.d.sync += below_zero.eq(difference[-1])
        with m.If(control.phase == Phase.MEAN):
            m.d.sync += subtrahend.eq(word.integer)
        with m.If(control.load & (control.phase == Phase.SQUARES)):
            epsilon = Cat(self.i.payload.epsilon, C(0, INTEGER_BITS - SLOT_BITS))
            m.d.sync += subtrahend.eq(~epsilon)
        # Stays, if there is no mean. From a register, as all that reaches so many others.
        clear = Signal()
        m.d.sync += clear.eq(control.divide)
        with m.If(clear):
            m.d.sync += subtrahend.eq(0)
        return difference[:INTEGER_BITS], below_zero

    def _elaborate_mean(self, m: Module, control: RowFactorControl, word: MovingWord) -> Value:
        """Round and clip the mean; return its magnitude, a cycle after the word has settled."""
        mean, negative = self.o.payload.mean, self.i.payload.total[-1]
        size = word.integer[:FIXED_BITS]
        guard, sticky = word.below[-1], word.below[:-1].any()
        up, beyond, loaded = Signal(), Signal(), Signal()
        largest = size[:-1].all() & ~negative  # would leave the range
        m.d.sync += [
            up.eq(guard & (sticky | size[0]) & ~largest),
            beyond.eq(word.integer[FIXED_BITS - 1 :].any()),
            loaded.eq(control.load & (control.phase == Phase.TOTAL)),
        ]
        # With the sign it is kept a cycle later, when it stands at the word's top.
        top = word.integer[-FIXED_BITS:]
        with m.If(loaded):
            m.d.sync += mean.eq((top ^ negative.replicate(FIXED_BITS)) + negative)
        with m.Elif(control.offer & self.o.ready):
            m.d.sync += mean.eq(0)
        limit = Cat((~negative).replicate(FIXED_BITS - 1), negative)
        return Mux(beyond, limit, (size + up)[:FIXED_BITS])
