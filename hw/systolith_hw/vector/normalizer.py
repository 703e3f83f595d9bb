"""Turn fixed-point values into activation words: block floating point."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import FIXED_BITS, Config
from ..interfaces import activation_word
from .block_exponent import BASE_BITS, BlockExponent, fixed_beat
from .rounding_shifter import RoundingShifter

__all__ = ["Normalizer"]


class Normalizer(wiring.Component):
    """Give R fixed-point values one exponent and round them to mantissas.

    ``docs/numerics.md``, "Block normalise", has the exact integers. A word's beats wait in a ring
    until its exponent is known, and are then played back through one shifter per lane. If a
    mantissa does not fit once it is rounded, the whole word wants the next exponent: so a word
    is gathered before rounding, with what it takes to round it at either exponent. ::

        i ──┬──►[ ring of beats ]──►[ >> base + exponent ]──►[ word ]──►[ >> 1? + up ]──► o
            └──►[ BlockExponent ]── distance ──┘   └─ one too large? ───────┘

    =========== ====================================================
    Latency     beats of the word + 8 cycles from its last beat to ``o``
    Throughput  1 beat per cycle; never stalls
    Golden      :func:`systolith_sim.vector.normalizer.normalize`
    =========== ====================================================

    A word has 1 to R / L beats; the mantissas of beats that it lacks are zero. Words must end at
    least as many cycles apart as the first of the two has beats, which only a short word that
    follows a longer one could fail to do.

    Parameters
    ----------
    config : Config
        Shapes and widths.

    Members
    -------
    i : In(stream of fixed_beat(config), always ready)
        Values; ``end`` ends a word, and ``base`` counts in the same beat.
    o : Out(stream of activation_word(config), always ready)
        Words.
    coming : Out(1)
        ``o`` will be valid in the next cycle.
    saturated : Out(lanes)
        Mantissas that were clipped, one cycle after each beat was played back.
    flushed : Out(1)
        A word that was not zero became zero; one cycle after ``o``.
    """

    i: stream.Interface
    o: stream.Interface
    coming: Signal
    saturated: Signal
    flushed: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(fixed_beat(config), always_ready=True)),
            "o": Out(stream.Signature(activation_word(config), always_ready=True)),
            "coming": Out(1),
            "saturated": Out(config.vector.lanes),
            "flushed": Out(1),
        })

    @property
    def beats(self) -> int:
        """Beats of a full word."""
        return self.config.array.rows // self.config.vector.lanes

    @property
    def latency(self) -> int:
        """Cycles from the last beat of a full word to the word."""
        return self.beats + 8

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.exponent = exponent = BlockExponent(self.config)
        connect(m, flipped(self.i), exponent.i)

        # A block's `ready` comes with its distance due in the next cycle, and so are its beats.
        reading, last = Signal(), Signal()
        left = Signal(range(self.beats))
        m.d.comb += [
            reading.eq(exponent.ready | left.any()),
            last.eq(Mux(exponent.ready, exponent.more == 0, left == 1)),
        ]
        with m.If(exponent.ready):
            m.d.sync += left.eq(exponent.more)
        with m.Elif(left.any()):
            m.d.sync += left.eq(left - 1)
        beat = self._elaborate_ring(m, reading)

        # One bit for each cycle between reading a beat and having its mantissas.
        steps = RoundingShifter.latency + 1
        shifted, ending = Signal(steps), Signal(steps)
        m.d.sync += [shifted.eq(Cat(reading, shifted)), ending.eq(Cat(last, ending))]
        exponents, zeros = [exponent.exponent], [exponent.zero]
        for step in range(steps + 1):
            exponents.append(Signal.like(exponents[0], name=f"exponent_{step}", reset_less=True))
            zeros.append(Signal.like(zeros[0], name=f"zero_{step}", reset_less=True))
            m.d.sync += [exponents[-1].eq(exponents[-2]), zeros[-1].eq(zeros[-2])]
        largest = Signal(reset_less=True)
        m.d.sync += largest.eq(exponents[steps - 2] == self.config.array.window)
        valid = shifted[-1]
        again = self._elaborate_word(m, beat, exponent.distance, valid, ending[-1], largest)
        m.d.sync += [
            self.coming.eq(valid & ending[-1]),
            self.o.valid.eq(self.coming),
            self.o.payload.exponent.eq(exponents[steps] + again),
            self.flushed.eq(self.o.valid & ~zeros[-1] & ~self.o.payload.mantissas.as_value().any()),
        ]
        return m

    def _elaborate_ring(self, m: Module, reading: Value) -> Any:
        """Add the ring of beats; return the beat that was read one cycle ago."""
        # Written while the exponent is found (4 cycles) and while a full word is played back.
        depth = 1 << (self.beats + BlockExponent.latency - 1).bit_length()
        values = self.i.payload.data
        attrs: dict[str, Any] = {"no_rw_check": 1}
        ring: memory.Memory = memory.Memory(
            shape=values.shape(), depth=depth, init=[], attrs=attrs
        )
        m.submodules.ring = ring
        write, read = ring.write_port(), ring.read_port()
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.data.eq(values),
            read.en.eq(reading),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + self.i.valid),
            read.addr.eq(read.addr + reading),
        ]
        return read.data

    def _elaborate_word(
        self, m: Module, beat: Any, distance: Value, valid: Value, last: Value, largest: Value
    ) -> Value:
        """Add the shifters, and the registers where mantissas meet.

        Return whether the word that is complete takes the next exponent. That never happens twice:
        halved, what was too large by one is far from the limit.
        """
        bits, lanes = self.config.array.mantissa_bits, self.config.vector.lanes
        place = Signal(range(self.beats))
        first = Signal()
        too_large = Signal(lanes)
        again = Signal()
        m.d.comb += first.eq(valid & (place == 0))
        with m.If(valid):
            m.d.sync += [
                place.eq(Mux(last, 0, place + 1)),
                again.eq((again & ~first) | (too_large.any() & ~largest)),
            ]
        m.d.sync += self.saturated.eq(too_large & (valid & largest).replicate(lanes))
        for lane in range(lanes):
            shifter = RoundingShifter(FIXED_BITS, BASE_BITS, bits)
            m.submodules[f"shifter_{lane}"] = shifter
            lowest = Signal(name=f"lowest_{lane}")
            halved_up = shifter.floor[0] & (shifter.inexact | shifter.floor[1])
            m.d.comb += [
                shifter.value.eq(beat[lane]),
                shifter.shift.eq(distance),
                # The range is symmetric: the one mantissa too low goes up like any other.
                lowest.eq(shifter.floor == -(1 << bits - 1)),
                too_large[lane].eq(shifter.clipped | (lowest & ~shifter.up)),
            ]
            parts = Cat(shifter.floor, shifter.up | lowest, halved_up)
            for index in range(self.beats):
                slot = Signal(bits + 2, name=f"slot_{index}_{lane}", reset_less=True)
                with m.If(valid & (place == index)):
                    m.d.sync += slot.eq(parts)
                with m.Elif(first):
                    m.d.sync += slot.eq(0)
                floor, up, halved = slot[:bits].as_signed(), slot[bits], slot[bits + 1]
                mantissa = Signal(signed(bits), name=f"mantissa_{index}_{lane}", reset_less=True)
                m.d.sync += mantissa.eq(Mux(again, floor >> 1, floor) + Mux(again, halved, up))
                m.d.comb += self.o.payload.mantissas[index * lanes + lane].eq(mantissa)
        return again
