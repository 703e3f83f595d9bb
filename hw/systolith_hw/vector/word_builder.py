"""The exponent and the mantissas of one activation word."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import activation_word

__all__ = ["WordBuilder"]


class WordBuilder(wiring.Component):
    """Count the exponent of a word, and gather its mantissas.

    =========== ====================================================
    Latency     1 cycle
    Throughput  1 mantissa per cycle
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Rows and widths.

    Members
    -------
    i : In(signed(mantissa_bits)), fits : In(1), up : In(1), rest : In(1)
        What is to be a mantissa, rounded down; whether its upper bits say so, whether it rounds up,
        and whether it is not exact.
    too_large : Out(1)
        It fits no mantissa.
    push : In(1)
        Take it; in the end the last R of them are there.
    more : In(1), first : In(1)
        The exponent must be one larger; for the word's first value.
    highest : Out(1)
        It is the largest there is.
    begin : In(1), raised : Out(1)
        Mantissas begin; since then the exponent was raised, by others than the first.
    clear : In(1)
        The word is done, and the next exponent is zero.
    word : Out(activation_word(config)), flushed : Out(1)
        The word; it is zero, but its values were not.
    """

    i: Signal
    fits: Signal
    up: Signal
    rest: Signal
    too_large: Signal
    push: Signal
    more: Signal
    first: Signal
    highest: Signal
    begin: Signal
    raised: Signal
    clear: Signal
    word: data.View
    flushed: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        flags = ("fits", "up", "rest", "push", "more", "first", "begin", "clear")
        super().__init__({
            "i": In(signed(config.array.mantissa_bits)),
            **dict.fromkeys(flags, In(1)),
            **dict.fromkeys(("too_large", "highest", "raised", "flushed"), Out(1)),
            "word": Out(activation_word(config)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        array = self.config.array
        exponent = Signal(array.exponent_bits)
        mantissas = Signal(array.rows * array.mantissa_bits, reset_less=True)
        zeros, ones, sign = ~self.i[:-1].any(), self.i[:-1].all(), self.i[-1]
        # One more than the largest is too much, and the range is symmetric.
        edge = Mux(self.up, ones & ~sign, zeros & sign)
        zero = Mux(self.up, ones & sign, zeros & ~sign)
        some, lost = Signal(), Signal()
        m.d.comb += [
            self.too_large.eq(~self.fits | edge),
            self.highest.eq(exponent == array.window),
            self.word.exponent.eq(exponent),
            self.word.mantissas.as_value().eq(mantissas),
            self.flushed.eq(lost & ~some),
        ]
        with m.If(self.push):
            mantissa = (self.i + self.up)[: array.mantissa_bits]
            m.d.sync += [
                mantissas.eq(Cat(mantissas[array.mantissa_bits :], mantissa)),
                some.eq(some | ~zero),
                lost.eq(lost | self.rest),
            ]
        with m.If(self.clear):
            m.d.sync += [exponent.eq(0), some.eq(0), lost.eq(0)]
        with m.Elif(self.more):
            m.d.sync += exponent.eq(exponent + 1)
        with m.If(self.begin):
            m.d.sync += self.raised.eq(0)
        with m.Elif(self.more & ~self.first):
            m.d.sync += self.raised.eq(1)
        return m
