"""Turn fixed-point values into activation words, one word at a time."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config
from ..interfaces import activation_word
from .block_exponent import BASE_BITS, fixed_beat
from .rounding_shifter import RoundingShifter

__all__ = ["SerialNormalizer"]

GROUP = 4
"""Bits are searched for the leading one by groups of this many, then inside one."""


class SerialNormalizer(wiring.Component):
    """Give R fixed-point values one exponent and round them to mantissas; then take the next word.

    Computes what :class:`~systolith_hw.vector.normalizer.Normalizer` does, with less: values are
    not made positive, but the bits of negative ones inverted, so that -2**n looks one bit shorter
    than it is; and nobody looks whether rounding carries into another bit. If a mantissa then does
    not fit, all are made again with the next exponent. ::

        i ──┬──►[ beats ]───────────►[ >> base + exponent ]──►[ + up ]──►[ word ]──► o
            └──►[ union ]──►[ exponent ]──────┘        └── does not fit ──► again

    =========== ====================================================
    Latency     R / L + 3 cycles (:attr:`latency`) from a word's last beat to ``o``; R / L + 2
                more if its largest mantissa rounds up to a further bit
    Throughput  1 word at a time, a beat per cycle
    Stall       ``o`` waits; the next word may begin in the cycle after it is taken
    Golden      :func:`systolith_sim.vector.normalizer.normalize`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes and widths.

    Members
    -------
    i : In(stream of fixed_beat(config), always ready), index : In(range(R / L))
        Values, and the beat's place in its word. ``index`` and ``base`` of a word's last beat
        stay until the word is taken. Mantissas of beats that do not come are zero.
    o : Out(stream of activation_word(config))
        Words.
    saturated : Out(lanes)
        Mantissas that are clipped; never while a beat comes.
    flushed : Out(1)
        With ``o``: the word was not zero, and is now.
    """

    i: stream.Interface
    index: Signal
    o: stream.Interface
    saturated: Signal
    flushed: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(fixed_beat(config), always_ready=True)),
            "index": In(range(config.array.rows // config.vector.lanes)),
            "o": Out(stream.Signature(activation_word(config))),
            "saturated": Out(config.vector.lanes),
            "flushed": Out(1),
        })

    @property
    def beats(self) -> int:
        """Beats of a full word."""
        return self.config.array.rows // self.config.vector.lanes

    @property
    def latency(self) -> int:
        """Cycles from the last beat to the word."""
        return self.beats + 3

    def elaborate(self, platform) -> Module:
        m = Module()
        find, again = Signal(), Signal()
        taken = self.o.valid & self.o.ready
        m.d.sync += find.eq((self.i.valid & self.i.payload.end) | again)
        # A pass: read a beat in step n, shift it in n + 1, round it in n + 2.
        step = Signal(range(self.beats + 2))
        push, last = Signal(), Signal()
        m.d.comb += [
            push.eq(step >= 2),
            last.eq(step == self.beats + 1),
        ]
        with m.If(last):
            m.d.sync += step.eq(0)
        with m.Elif(find | step.any()):
            m.d.sync += step.eq(step + 1)

        union = self._elaborate_union(m, taken)
        large = Signal()  # a mantissa of this pass was too large
        exponent, highest = self._elaborate_exponent(m, find, union, large)
        mantissas, clipped, zero = self._elaborate_mantissas(m, step, exponent)
        present = push & (step - 2 <= self.index)
        too_large = present & clipped.any()
        some = Signal()  # a mantissa of this pass was not zero
        m.d.comb += again.eq(last & (large | too_large) & ~highest)
        m.d.sync += [
            large.eq(again | (~find & ~last & (large | too_large))),
            some.eq(~find & (some | (present & ~zero))),
        ]

        word = Signal(self.beats * len(mantissas), reset_less=True)
        with m.If(push):
            m.d.sync += word.eq(Cat(word[len(mantissas) :], Mux(present, mantissas, 0)))
        with m.If(last | taken):
            m.d.sync += self.o.valid.eq(last & ~again)
        m.d.comb += [
            self.o.payload.mantissas.as_value().eq(word),
            self.o.payload.exponent.eq(exponent),
            self.saturated.eq(clipped & (present & highest).replicate(len(clipped))),
            self.flushed.eq(taken & ~some & union.any()),
        ]
        return m

    def _elaborate_union(self, m: Module, clear: Value) -> Signal:
        """Join the bits of a word's values that no mantissa has room for.

        The lowest bit stands for all below, and for minus one.
        """
        low = self.config.array.mantissa_bits - 1
        union = Signal(FIXED_BITS - low)
        joined: Value = C(0, FIXED_BITS - low)
        for lane in range(self.config.vector.lanes):
            value = self.i.payload.data[lane]
            sign = value[-1]
            high = value[low:-1] ^ sign.replicate(FIXED_BITS - 1 - low)
            joined = joined | Cat(value[:low].any() | sign, high)
        with m.If(clear):
            m.d.sync += union.eq(0)
        with m.Elif(self.i.valid):
            m.d.sync += union.eq(union | joined)
        return union

    def _elaborate_exponent(
        self, m: Module, find: Value, union: Signal, more: Value
    ) -> tuple[Signal, Value]:
        """Find the exponent, or the one above it; return whether it is the highest, too."""
        array = self.config.array
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
        exponent = Signal(array.exponent_bits, reset_less=True)
        m.d.comb += wanted.eq(distance - self.i.payload.base + more)
        with m.If(find):
            m.d.sync += exponent.eq(Mux(wanted > array.window, array.window, wanted))
            with m.If(wanted < 0):
                m.d.sync += exponent.eq(0)
        return exponent, exponent == array.window

    def _elaborate_beats(self, m: Module, step: Signal) -> Any:
        """Add the memory of beats; return the one that was read a cycle ago."""
        values = self.i.payload.data
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        store: memory.Memory = memory.Memory(
            shape=values.shape(), depth=max(2, self.beats), init=[], attrs=attrs
        )
        m.submodules.store = store
        write, read = store.write_port(), store.read_port()
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.addr.eq(self.index),
            write.data.eq(values),
            read.addr.eq(step),
        ]
        return read.data

    def _elaborate_mantissas(
        self, m: Module, step: Signal, exponent: Signal
    ) -> tuple[Signal, Signal, Value]:
        """Read, shift and round beats; return mantissas, which are clipped, "all are zero"."""
        bits, lanes = self.config.array.mantissa_bits, self.config.vector.lanes
        beat = self._elaborate_beats(m, step)
        distance = Signal(BASE_BITS)
        m.d.comb += distance.eq(self.i.payload.base + exponent)
        mantissas, clipped = Signal(lanes * bits), Signal(lanes)
        zero = Signal(lanes)
        for lane in range(lanes):
            shifter = RoundingShifter(FIXED_BITS, BASE_BITS, bits, short=True)
            m.submodules[f"shifter_{lane}"] = shifter
            # The range is symmetric: the one mantissa too low goes up like any other.
            lowest = shifter.floor == -(1 << bits - 1)
            m.d.comb += [
                shifter.value.eq(beat[lane]),
                shifter.shift.eq(distance),
                mantissas.word_select(lane, bits).eq(shifter.floor + (shifter.up | lowest)),
                clipped[lane].eq(shifter.clipped | (lowest & ~shifter.up)),
                zero[lane].eq(shifter.floor == -shifter.up),
            ]
        return mantissas, clipped, zero.all()
