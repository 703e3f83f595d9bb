"""From the sums of all columns to results, L columns at a time."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import result_beat
from .accumulator import Accumulator

__all__ = ["BeatAccumulator"]


class BeatAccumulator(wiring.Component):
    """Accumulate the sums of C columns and give results in C/L beats of L columns.

    ::

        sums, exponent ──┬────────────────────►[ Accumulator ]──►┐
                         └►[ ]─┬──────────────►[ Accumulator ]──►├─ the one that is done ──► o
                               └►[ ]── ... ───►[ Accumulator ]──►┘

    Each L columns work a cycle later than those before them, so the beats of a result follow one
    another by themselves: no register holds the beats that wait.

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

    Members
    -------
    valid : In(1)
        There are sums in this cycle.
    last : In(1)
        They complete a result.
    exponent : In(exponent_bits)
        Left shift of all sums, at most ``window``.
    sums : In(ArrayLayout(signed(psum_bits), columns))
        One sum for each column.
    o : Out(stream of result_beat(config), always taken)
        The beats of all results, lowest columns first.
    """

    latency = Accumulator.latency + 1

    valid: Signal
    last: Signal
    exponent: Signal
    sums: data.View
    o: stream.Interface

    def __init__(self, config: Config) -> None:
        self.config = config
        array = config.array
        super().__init__({
            "valid": In(1),
            "last": In(1),
            "exponent": In(array.exponent_bits),
            "sums": In(data.ArrayLayout(signed(array.psum_bits), array.columns)),
            "o": Out(stream.Signature(result_beat(config))),
        })

    def elaborate(self, platform) -> Module:
        config = self.config
        m = Module()

        parts = [Accumulator(config) for _ in range(config.beats_per_result)]
        valid: Value = self.valid
        shared: Value = Cat(self.last, self.exponent)
        width = config.array.psum_bits * config.vector.lanes
        for index, part in enumerate(parts):
            m.submodules[f"beat_{index}"] = part
            sums = self.sums.as_value().word_select(index, width)
            if index:
                valid = _delay(m, valid, 1, f"valid_{index}", reset_less=False)
                shared = _delay(m, shared, 1, f"shared_{index}")
            m.d.comb += [
                part.valid.eq(valid),
                Cat(part.last, part.exponent).eq(shared),
                part.sums.eq(_delay(m, sums, index, f"sums_{index}")),
            ]

        # Of the results on their way, at most one is done in a cycle. What takes them is a memory,
        # spread over the chip: an adder in front of it would be the slowest path.
        payload: Any = Signal(self.o.payload.shape(), reset_less=True)
        m.d.sync += [
            self.o.valid.eq(Cat(part.done for part in parts).any()),
            payload.eq(parts[0].result),
        ]
        m.d.comb += self.o.payload.eq(payload)
        for part in parts[1:]:
            with m.If(part.done):
                m.d.sync += payload.eq(part.result)

        return m


def _delay(m: Module, value: Value, cycles: int, name: str, *, reset_less: bool = True) -> Value:
    """Return ``value`` some cycles later."""
    for cycle in range(cycles):
        register: Any = Signal(len(value), name=f"{name}_{cycle}", reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value
