"""One candidate of many, by chance: scores, noise, and the largest sum."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..config import FIXED_BITS, MOST_CANDIDATES, Config
from ..isa import SLOT_BITS
from ..memory.scale import scale_factor
from ..vector.requantizer import Requantizer
from .candidate import WORD_BITS, candidate
from .gumbel_noise import GumbelNoise
from .speck_mixer import SpeckMixer

__all__ = ["Choice"]

STAGES = 3
"""Candidates that are under way at once: one is mixed, one gets its noise, one is compared."""


class State(enum.Enum, shape=3):
    """What is done: nothing, look at a candidate, send it, wait for the last ones, tell."""

    IDLE = 0
    LOOK = 1
    SEND = 2
    WAIT = 3
    TELL = 4


class Choice(wiring.Component):
    """Go through the candidates, and find that with the largest sum of score and noise.

    ::

        entry ──►[ SpeckMixer ]──►[ GumbelNoise ]─┬────────────► + ──►[ the largest so far ]──► o
                                                  └►[ × sharpness ]─┘

    =========== ====================================================
    Latency     about 30 cycles for each candidate, and 30 besides
    Throughput  one choice at a time
    Stall       ``o.valid`` comes from a register
    Golden      :func:`systolith_sim.vector.sampler.choose_among`
    =========== ====================================================

    Parameters
    ----------
    config : Config
    target : str
        "generic", "ecp5" or "ice40": for the multiplier.

    Members
    -------
    start : In(1)
        Begin, with candidates that stay.
    seed, position : In(32), sharpness : In(scale_factor())
        Stay, too.
    size : In(7), node : Out(7), found : In(1), entry : In(candidate())
        The candidates, as in :class:`.CandidateHeap`.
    o : Out(stream of 16 bits)
        The number of the one that is chosen.
    idle : Out(1)
        There is nothing to do.
    """

    start: Signal
    seed: Signal
    position: Signal
    sharpness: data.View
    size: Signal
    node: Signal
    found: Signal
    entry: data.View
    o: stream.Interface
    idle: Signal

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        count = range(MOST_CANDIDATES + 1)
        super().__init__({
            "start": In(1),
            "seed": In(WORD_BITS),
            "position": In(WORD_BITS),
            "sharpness": In(scale_factor()),
            "size": In(count),
            "node": Out(count),
            "found": In(1),
            "entry": In(candidate()),
            "o": Out(stream.Signature(SLOT_BITS)),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.mixer = mixer = SpeckMixer()
        m.submodules.noise = noise = GumbelNoise()
        connect(m, mixer.o, noise.i)
        state, sent = Signal(State), Signal()
        under_way = Signal(range(STAGES + 1))
        compared = self._elaborate_largest(m, noise)
        m.d.comb += [
            mixer.seed.eq(self.seed),
            mixer.position.eq(self.position),
            mixer.i.payload.eq(self.entry),
            mixer.i.valid.eq((state == State.SEND) & self.found),
            sent.eq(mixer.i.valid & mixer.i.ready),
            self.idle.eq(state == State.IDLE),
            self.o.valid.eq(state == State.TELL),
        ]
        m.d.sync += under_way.eq(under_way + sent - compared)
        with m.Switch(state):
            with m.Case(State.IDLE):
                m.d.sync += self.node.eq(1)
                with m.If(self.start):
                    m.d.sync += state.eq(State.LOOK)
            with m.Case(State.LOOK):
                m.d.sync += state.eq(State.SEND)
            with m.Case(State.SEND):
                with m.If(sent | ~self.found):
                    last = self.node == self.size
                    m.d.sync += [
                        self.node.eq(self.node + 1), state.eq(Mux(last, State.WAIT, State.LOOK))
                    ]
            with m.Case(State.WAIT):
                with m.If(~under_way.any()):
                    m.d.sync += state.eq(State.TELL)
            with m.Case(State.TELL):
                with m.If(self.o.ready):
                    m.d.sync += state.eq(State.IDLE)
        return m

    def _elaborate_largest(self, m: Module, noise: GumbelNoise) -> Signal:
        """Keep the number with the largest sum, of equals the smallest; return "one compared"."""
        score = self._elaborate_score(m, noise.o.payload.candidate)
        total, largest = (
            Signal(signed(FIXED_BITS + 1), name=name, reset_less=True)
            for name in ("total", "largest")
        )
        number = Signal(SLOT_BITS, reset_less=True)
        compares, some = Signal(), Signal()
        better = (total > largest) | ((total == largest) & (number < self.o.payload))
        m.d.comb += noise.o.ready.eq(1)
        m.d.sync += [
            compares.eq(noise.o.valid),
            total.eq(score + noise.o.payload.noise),
            number.eq(noise.o.payload.candidate.number),
        ]
        with m.If(self.start):
            m.d.sync += some.eq(0)
        with m.Elif(compares):
            m.d.sync += some.eq(1)
            with m.If(better | ~some):
                m.d.sync += [largest.eq(total), self.o.payload.eq(number)]
        return compares

    def _elaborate_score(self, m: Module, entry: Any) -> Value:
        """Return a candidate's score, which is there long before its noise."""
        scaling = Requantizer(
            self.config.replace({"vector.lanes": 1}), self.target, bits=FIXED_BITS
        )
        m.submodules.scaling = scaling
        m.d.comb += [
            scaling.x[0].eq(entry.value), scaling.factors[0].eq(self.sharpness), scaling.keep.eq(1)
        ]
        return scaling.z[0]
