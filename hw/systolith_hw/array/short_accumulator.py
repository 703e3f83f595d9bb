"""From the sums of all columns to results, where there are few logic cells."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import result_beat
from .sum_shifter import SumShifter

__all__ = ["ShortAccumulator"]


class ShortAccumulator(wiring.Component):
    """Do what :class:`.beats.BeatAccumulator` does, with one shifter for each column.

    ::

        sums, exponent ──►[ SumShifter ]──► shifted ──►( + )──►[ total ]──┬─ the beat that is
                                                         ▲                │  done ──► o
                                                         └─ nothing or ◄──┘

    A result is the register ``total`` itself: on iCE40 a sum that is registered and used besides
    takes two logic cells for each bit, while the choice between ``total`` and nothing fits the
    adder's own.

    =========== ==========================================================
    Latency     3 cycles (:attr:`latency`) from the last sums of a result to
                its first beat
    Throughput  one word per cycle; results at least C/L cycles apart
    Stall       never, neither here nor in what takes the beats
    Golden      :func:`systolith_sim.array.accumulator.accumulate`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Widths, columns and lanes.
    target : str
        "generic", "ecp5" or "ice40".

    Members
    -------
    valid, last, exponent, sums, o
        As in :class:`.beats.BeatAccumulator`.
    """

    latency = SumShifter.latency + 1

    valid: Signal
    last: Signal
    exponent: Signal
    sums: data.View
    o: stream.Interface

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        array = config.array
        super().__init__({
            "valid": In(1),
            "last": In(1),
            "exponent": In(array.exponent_bits),
            "sums": In(data.ArrayLayout(signed(array.psum_bits), array.columns)),
            "o": Out(stream.Signature(result_beat(config))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.shifter = shifter = SumShifter(self.config, self.target)
        m.d.comb += [shifter.exponent.eq(self.exponent), shifter.sums.eq(self.sums)]

        # Along with the shifter, and from one beat to the next.
        valid, last = self.valid, self.last
        for age in range(shifter.latency):
            valid = _later(m, valid, f"valid_{age}", init=0)
            last = _later(m, last, f"last_{age}")
        first = Signal(init=1)
        with m.If(valid):
            m.d.sync += first.eq(last)
        lanes = self.config.vector.lanes
        for beat in range(self.config.beats_per_result):
            if beat:
                valid = _later(m, valid, f"valid_of_{beat}", init=0)
                last = _later(m, last, f"last_of_{beat}")
                first = _later(m, first, f"first_of_{beat}")
            done = _later(m, valid & last, f"done_{beat}", init=0)
            totals = [
                self._total(m, column, shifter.shifted[column], valid, first)
                for column in range(beat * lanes, (beat + 1) * lanes)
            ]
            # Of the results on their way, at most one is done in a cycle.
            with m.If(done):
                m.d.comb += self.o.valid.eq(1)
            with m.If(done if beat else 1):
                m.d.comb += self.o.payload.eq(Cat(totals))
        return m

    def _total(self, m: Module, column: int, addend: Value, valid: Value, first: Value) -> Signal:
        """Add up one column."""
        bits = self.config.array.accumulator_bits
        total = Signal(signed(bits), name=f"total_{column}", reset_less=True)
        with m.If(valid):
            m.d.sync += total.eq(Mux(first, addend, total + addend))
        return total


def _later(m: Module, value: Value, name: str, *, init: int | None = None) -> Signal:
    """Return ``value``, one cycle later; after a reset ``init``, if that matters."""
    register = Signal(len(value), name=name, reset_less=init is None, init=init or 0)
    m.d.sync += register.eq(value)
    return register
