"""Random bits that depend on seed, position and number alone."""

from amaranth import *
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from .candidate import WORD_BITS, candidate, random

__all__ = ["ROUNDS", "SpeckMixer"]

ROUNDS = 16


class State(enum.Enum, shape=2):
    """What the mixer does: nothing, rounds, offer what came of them."""

    IDLE = 0
    MIX = 1
    OFFER = 2


class SpeckMixer(wiring.Component):
    """Mix a candidate's number with position and seed: a round of the cipher Speck64 per cycle.

    ::

        x, y = position, number
        for round in 0..15:   x = (x >>> 8) + y ^ (seed <<< round) ^ round;   y = (y <<< 3) ^ x
        bits = x

    =========== ====================================================
    Latency     17 cycles (:attr:`latency`) from taking a candidate to offering its bits
    Throughput  a candidate in 18 cycles
    Stall       ``i.ready`` and ``o.valid`` come from registers
    Golden      :func:`systolith_sim.vector.sampler.mix`
    =========== ====================================================

    Members
    -------
    seed, position : In(32)
        Stay for as long as a candidate is here.
    i : In(stream of candidate())
        Whom the bits are for.
    o : Out(stream of random())
        The candidate, and its bits.
    """

    latency = ROUNDS + 1

    seed: Signal
    position: Signal
    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({
            "seed": In(WORD_BITS),
            "position": In(WORD_BITS),
            "i": In(stream.Signature(candidate())),
            "o": Out(stream.Signature(random())),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        state = Signal(State)
        kept = Signal.like(self.i.payload, reset_less=True)
        x, y, key = (Signal(WORD_BITS, name=name, reset_less=True) for name in ("x", "y", "key"))
        number = Signal(range(ROUNDS), reset_less=True)
        mixed = Signal(WORD_BITS)
        m.d.comb += [
            mixed.eq((x.rotate_right(8) + y)[:WORD_BITS] ^ key ^ number),
            self.i.ready.eq(state == State.IDLE),
            self.o.valid.eq(state == State.OFFER),
            self.o.payload.candidate.eq(kept),
            self.o.payload.bits.eq(x),
        ]
        with m.Switch(state):
            with m.Case(State.IDLE):
                m.d.sync += [
                    kept.eq(self.i.payload), number.eq(0),
                    x.eq(self.position), y.eq(self.i.payload.number), key.eq(self.seed),
                ]  # fmt: skip
                with m.If(self.i.valid):
                    m.d.sync += state.eq(State.MIX)
            with m.Case(State.MIX):
                m.d.sync += [
                    x.eq(mixed), y.eq(y.rotate_left(3) ^ mixed), key.eq(key.rotate_left(1)),
                    number.eq(number + 1),
                ]  # fmt: skip
                with m.If(number == ROUNDS - 1):
                    m.d.sync += state.eq(State.OFFER)
            with m.Case(State.OFFER):
                with m.If(self.o.ready):
                    m.d.sync += state.eq(State.IDLE)
        return m
