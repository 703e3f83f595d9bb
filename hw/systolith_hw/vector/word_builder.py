"""The exponent and the mantissas of one activation word."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config
from ..interfaces import activation_word
from .block_exponent import BASE_BITS

__all__ = ["WordBuilder"]

GROUP = 4
"""Bits are searched for the leading one by groups of this many, then inside one."""


class WordBuilder(wiring.Component):
    """Find the exponent for R fixed-point values, and gather the mantissas that come of it.

    The exponent is the smallest with which every value fits a mantissa, rounded down. Values are
    not made positive, but the bits of negative ones inverted, so that -2**n looks one bit shorter
    than it is. Such a value, and one that rounds up to a further bit, wants ``more``.

    =========== ====================================================
    Latency     1 cycle
    Throughput  1 value and 1 mantissa per cycle
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Rows and widths.

    Members
    -------
    valid : In(1), value : In(signed(32))
        A value of the word.
    find : In(1), base : In(5), more : In(1)
        Find the exponent for these values and this base, or the one above it.
    highest : Out(1)
        The exponent is the largest there is.
    push : In(1), mantissa : In(signed(mantissa_bits))
        The next mantissa; there must be R of them at last.
    word : Out(activation_word(config)), flushed : Out(1)
        The word; it is zero though its values were not.
    clear : In(1)
        The word is done: forget its values.
    """

    valid: Signal
    value: Signal
    find: Signal
    base: Signal
    more: Signal
    highest: Signal
    push: Signal
    mantissa: Signal
    word: data.View
    flushed: Signal
    clear: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "valid": In(1),
            "value": In(signed(FIXED_BITS)),
            "find": In(1),
            "base": In(BASE_BITS),
            "more": In(1),
            "highest": Out(1),
            "push": In(1),
            "mantissa": In(signed(config.array.mantissa_bits)),
            "word": Out(activation_word(config)),
            "flushed": Out(1),
            "clear": In(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        union = self._elaborate_union(m)
        exponent = self._elaborate_exponent(m, union)
        bits = self.config.array.mantissa_bits
        mantissas = Signal(self.config.array.rows * bits, reset_less=True)
        with m.If(self.push):
            m.d.sync += mantissas.eq(Cat(mantissas[bits:], self.mantissa))
        m.d.comb += [
            self.highest.eq(exponent == self.config.array.window),
            self.word.exponent.eq(exponent),
            self.word.mantissas.as_value().eq(mantissas),
            self.flushed.eq(union.any() & ~mantissas.any()),
        ]
        return m

    def _elaborate_exponent(self, m: Module, union: Signal) -> Signal:
        """Find the exponent."""
        window = self.config.array.window
        # How far the largest value must go to the right to be a mantissa.
        distance = Signal(range(len(union)))
        for start in range(0, len(union), GROUP):
            part = union[start : start + GROUP]
            place = Signal(range(GROUP), name=f"place_{start}")
            for bit in range(1, len(part)):
                with m.If(part[bit]):
                    m.d.comb += place.eq(bit)
            with m.If(part.any()):
                m.d.comb += distance.eq(start + place)
        wanted = Signal(signed(BASE_BITS + 2))
        exponent = Signal(self.config.array.exponent_bits, reset_less=True)
        m.d.comb += wanted.eq(distance - self.base + self.more)
        with m.If(self.find):
            m.d.sync += exponent.eq(Mux(wanted > window, window, wanted))
            with m.If(wanted < 0):
                m.d.sync += exponent.eq(0)
        return exponent

    def _elaborate_union(self, m: Module) -> Signal:
        """Join the bits of a word's values that no mantissa has room for.

        The lowest bit stands for all below, and for minus one.
        """
        low = self.config.array.mantissa_bits - 1
        union = Signal(FIXED_BITS - low)
        sign = self.value[-1]
        high = self.value[low:-1] ^ sign.replicate(FIXED_BITS - 1 - low)
        joined = Cat(self.value[:low].any() | sign, high)
        with m.If(self.clear):
            m.d.sync += union.eq(0)
        with m.Elif(self.valid):
            m.d.sync += union.eq(union | joined)
        return union
