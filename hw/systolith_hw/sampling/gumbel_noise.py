"""Noise of Gumbel's distribution out of random bits: two logarithms, one after the other."""

from amaranth import *
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from ..tables import FRACTION
from .candidate import NOISE_BITS, WORD_BITS, noisy, random
from .serial_line import SerialLine

__all__ = ["GumbelNoise"]

INNER_BITS = NOISE_BITS - 1
"""Of the inner logarithm, which is at most 33 with LSB 2**-16."""


class State(enum.Enum, shape=2):
    """What the unit does: nothing, bring a one to the top, wait for a line, offer the noise."""

    IDLE = 0
    NORMALISE = 1
    LINE = 2
    OFFER = 3


class GumbelNoise(wiring.Component):
    """Compute ``-log2(-log2(1 - w))``, w being ``(bits + 1/2) / 2**32``.

    ::

        w < 1/2     t = 33 - log2(2**33 * w)              noise = t - RARE(w)
        else        t = 33 - log2(2**33 * (1 - w))        noise = -log2(t)

    A logarithm is that of a number whose leading one has been shifted to the top, a bit in each
    cycle, which for most numbers takes few; the table knows the rest.

    =========== ====================================================
    Latency     30 cycles from taking bits to offering noise, a few more for small numbers, at most
                60 (:attr:`longest`)
    Throughput  the same
    Stall       ``i.ready`` and ``o.valid`` come from registers
    Golden      :func:`systolith_sim.vector.sampler.gumbel`
    =========== ====================================================

    Members
    -------
    i : In(stream of random())
        A candidate and its bits.
    o : Out(stream of noisy())
        The candidate, which stays from the cycle after it has been taken on, and its noise.
    """

    longest = 60

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(random())), "o": Out(stream.Signature(noisy())),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.line = line = SerialLine()
        state, second = Signal(State), Signal()
        kept = Signal.like(self.i.payload, reset_less=True)
        word = Signal(WORD_BITS + 1, reset_less=True)
        length = Signal(range(WORD_BITS + 1), reset_less=True)
        result = Signal(signed(NOISE_BITS), reset_less=True)
        small = ~kept.bits[-1]
        rare = second & small
        difference = self._difference(m, second, small, length, line.result, result)
        bits = self.i.payload.bits
        m.d.comb += [
            self.i.ready.eq(state == State.IDLE),
            self.o.valid.eq(state == State.OFFER),
            self.o.payload.candidate.eq(kept.candidate),
            self.o.payload.noise.eq(result),
            line.rare.eq(rare),
            line.place.eq(Mux(rare, Cat(C(1, 1), kept.bits), word)),
            line.start.eq((state == State.NORMALISE) & (word[-1] | rare)),
        ]
        with m.Switch(state):
            with m.Case(State.IDLE):
                m.d.sync += [
                    kept.eq(self.i.payload), second.eq(0), length.eq(WORD_BITS),
                    word.eq(Cat(C(1, 1), bits ^ bits[-1].replicate(WORD_BITS))),
                ]  # fmt: skip
                with m.If(self.i.valid):
                    m.d.sync += state.eq(State.NORMALISE)
            with m.Case(State.NORMALISE):
                with m.If(line.start):
                    m.d.sync += state.eq(State.LINE)
                with m.Else():
                    m.d.sync += [word.eq(word << 1), length.eq(length - 1)]
            with m.Case(State.LINE):
                with m.If(line.done):
                    m.d.sync += [
                        result.eq(difference), second.eq(1), length.eq(INNER_BITS - 1),
                        word.eq(difference[:INNER_BITS] << WORD_BITS + 1 - INNER_BITS),
                        state.eq(Mux(second, State.OFFER, State.NORMALISE)),
                    ]  # fmt: skip
            with m.Case(State.OFFER):
                with m.If(self.o.ready):
                    m.d.sync += state.eq(State.IDLE)
        return m

    def _difference(
        self, m: Module, second: Value, small: Value, length: Value, line: Value, inner: Value
    ) -> Signal:
        """Return the inner logarithm, then the noise."""
        difference = Signal(signed(NOISE_BITS))
        logarithm = line + (length << FRACTION)
        with m.If(~second):
            m.d.comb += difference.eq((WORD_BITS + 1 << FRACTION) - logarithm)
        with m.Elif(small):
            m.d.comb += difference.eq(inner - line)
        with m.Else():
            m.d.comb += difference.eq((FRACTION << FRACTION) - logarithm)
        return difference
