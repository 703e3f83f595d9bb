"""The order in which a row's numbers are worked on."""

from amaranth import *
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Phase", "RowFactorControl"]


class Phase(enum.Enum, shape=3):
    """Which number is normalised, and what follows until the next one is."""

    RECIPROCAL = 0  # of powers of two: divided
    TOTAL = 1  # times 1 / N, aligned, rounded: gives MEAN
    MEAN = 2  # times itself, aligned: taken off VARIANCE
    SQUARES = 3  # times 1 / N, aligned: gives VARIANCE
    VARIANCE = 4  # root taken, and divided


class RowFactorControl(wiring.Component):
    """Say when the parts of :class:`~systolith_hw.vector.row_factor.RowFactor` do what.

    Members
    -------
    row : In(1), normal : In(1), centre : In(1)
        There is a row, and what of it is wanted; stay until ``taken``.
    settles : In(1), multiplied : In(1), divided : In(1)
        In the next cycle the word has moved; product or quotient (or root) are there.
    load : Out(1)
        Put the number of the phase that follows into the word: after RECIPROCAL, which is also the
        one between rows, the row's first, and otherwise the next in order; VARIANCE twice. From a
        register, as it reaches far; between rows it is always set.
    phase : Out(Phase)
        The phase that the word is in.
    aligns : Out(1), place : Out(1)
        Find out how far the product moves; put it into the word.
    variance : Out(1)
        The phase is VARIANCE; from a register.
    begin : Out(1), divide : Out(1), multiply : Out(1)
        The word shows the significand of its number; divide by it at once, or multiply it in the
        next cycle. From registers, as they reach far, too.
    root : Out(1)
        ``divide`` means the root.
    quotient : Out(1)
        What is divided by is the root.
    taken : Out(1)
        The row is not needed any more.
    offer : Out(1), accepted : In(1)
        The result is there; stays until it is accepted.
    """

    row: Signal
    normal: Signal
    centre: Signal
    settles: Signal
    multiplied: Signal
    divided: Signal
    load: Signal
    phase: Signal
    variance: Signal
    begin: Signal
    aligns: Signal
    place: Signal
    multiply: Signal
    divide: Signal
    root: Signal
    quotient: Signal
    taken: Signal
    offer: Signal
    accepted: Signal

    def __init__(self) -> None:
        inputs = ("row", "normal", "centre", "settles", "multiplied", "divided", "accepted")
        outputs = ("load", "begin", "aligns", "place", "multiply", "divide", "root", "quotient",
                   "variance", "taken", "offer")  # fmt: skip
        super().__init__({
            **dict.fromkeys(inputs, In(1)),
            **dict.fromkeys(outputs, Out(1)),
            "phase": Out(Phase),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        load = Signal(init=1)
        m.d.comb += self.load.eq(load)
        pulses = (self.begin, self.divide, self.root, self.multiply, self.quotient, self.place)
        m.d.sync += [pulse.eq(0) for pulse in pulses]
        divides = (self.phase == Phase.RECIPROCAL) | self.variance
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.row):
                    m.d.sync += load.eq(0)
                    m.next = "NORMALISE"
                with m.If(self.row & self.normal):
                    m.d.sync += self.phase.eq(Mux(self.centre, Phase.TOTAL, Phase.SQUARES))
            with m.State("NORMALISE"):
                with m.If(self.settles):
                    m.d.sync += [
                        self.begin.eq(1),
                        self.divide.eq(divides),
                        self.root.eq(self.variance),
                    ]
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.sync += self.multiply.eq(~divides)
                m.next = "START"
                with m.If(divides):
                    m.next = "DIVIDE"
                    with m.If(self.root):
                        m.next = "ROOT"
            self._elaborate_product(m, load)
            self._elaborate_quotient(m, load)
        return m

    def _elaborate_product(self, m: Module, load: Signal) -> None:
        """Add the states from a multiplication to the next number."""
        with m.State("START"):
            m.next = "MULTIPLY"
        with m.State("MULTIPLY"):
            m.d.comb += self.aligns.eq(1)
            with m.If(self.multiplied):
                m.d.sync += self.place.eq(1)
                m.next = "PLACE"
        with m.State("PLACE"):
            m.next = "MOVE"
        with m.State("MOVE"):
            with m.If(self.settles & (self.phase == Phase.TOTAL)):
                m.next = "ROUND"
            with m.Elif(self.settles):
                m.d.sync += load.eq(1)
                m.next = "PASS"
        with m.State("ROUND"):
            m.d.sync += load.eq(1)
            m.next = "PASS"
        with m.State("PASS"):
            m.d.sync += load.eq(self.phase == Phase.SQUARES)
            m.next = "NORMALISE"
            with m.Switch(self.phase):
                with m.Case(Phase.TOTAL):
                    m.d.sync += self.phase.eq(Phase.MEAN)
                with m.Case(Phase.MEAN):
                    m.d.sync += self.phase.eq(Phase.SQUARES)
                with m.Case(Phase.SQUARES):
                    m.d.sync += [self.phase.eq(Phase.VARIANCE), self.variance.eq(1)]
                    m.next = "PASS"  # again: the mean's square is taken off, then epsilon is added

    def _elaborate_quotient(self, m: Module, load: Signal) -> None:
        """Add the states from a root or a division to the end."""
        with m.State("ROOT"):
            with m.If(self.divided):
                m.d.sync += [self.divide.eq(1), self.quotient.eq(1)]
                m.next = "INVERT"
        with m.State("INVERT"):
            m.next = "DIVIDE"
        with m.State("DIVIDE"):
            m.d.comb += self.taken.eq(self.divided)
            with m.If(self.divided):
                m.next = "OFFER"
        with m.State("OFFER"):
            m.d.comb += self.offer.eq(1)
            with m.If(self.accepted):
                m.d.sync += [
                    load.eq(1), self.phase.eq(Phase.RECIPROCAL), self.variance.eq(0)
                ]  # fmt: skip
                m.next = "IDLE"
