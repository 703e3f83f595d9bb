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
    more : In(1)
        The exponent must be one larger.
    highest : Out(1)
        It is the largest there is.
    push : In(1), mantissa : In(signed(mantissa_bits))
        The next mantissa; in the end the last R of them are there.
    word : Out(activation_word(config))
        The word.
    clear : In(1)
        The next exponent is zero.
    """

    more: Signal
    highest: Signal
    push: Signal
    mantissa: Signal
    word: data.View
    clear: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "more": In(1),
            "highest": Out(1),
            "push": In(1),
            "mantissa": In(signed(config.array.mantissa_bits)),
            "word": Out(activation_word(config)),
            "clear": In(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        array = self.config.array
        bits = array.mantissa_bits
        exponent = Signal(array.exponent_bits)
        mantissas = Signal(array.rows * bits, reset_less=True)
        m.d.comb += [
            self.highest.eq(exponent == array.window),
            self.word.exponent.eq(exponent),
            self.word.mantissas.as_value().eq(mantissas),
        ]
        with m.If(self.clear):
            m.d.sync += exponent.eq(0)
        with m.Elif(self.more):
            m.d.sync += exponent.eq(exponent + 1)
        with m.If(self.push):
            m.d.sync += mantissas.eq(Cat(mantissas[bits:], self.mantissa))
        return m
