"""The instruction word under work, and the one adder of the sequencer."""

from typing import Any

from amaranth import *
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from ..interfaces import PC_BITS
from ..isa import WORD_BITS

__all__ = ["Datapath", "Operand", "Outside", "Source"]


class Operand(enum.Enum, shape=2):
    """What the adder's second operand becomes."""

    ZERO = 0
    VALUE = 1  # what the register memory has read
    UPPER = 2  # its low 16 bits, shifted left by 16
    ONES = 3  # minus one


class Source(enum.Enum, shape=2):
    """The adder's first operand."""

    ZERO = 0
    LOW = 1
    HIGH = 2
    NOT_LOW = 3  # less than zero by one more than ``low``: the carry is that of a comparison


class Outside(enum.Enum, shape=2):
    """What comes in at the adder's output, while the sum is zero."""

    NONE = 0
    PC = 1
    SETTING = 2  # in both halves; one of them takes it
    READ = 3  # a word of external memory


class Datapath(wiring.Component):
    """The instruction word under work, and the one adder of the sequencer.

    Each bit of each register has at most four inputs here, the size of a lookup table; this is
    why numbers from outside come in by way of a sum that is zero, and why nothing holds the
    operand but ``hold``. ::

        program memory ──64──►┌──────┬──────┐
                              │ high │ low  │──► queues
                              └▲───┬─┴▲──┬──┘
                               │   └──│──┴──►┐
        outside (or) ──────────┴──────┴──────┤ + │◄── operand ◄── register memory
                        register memory ◄── high

    Members
    -------
    load : In(1), word : In(64)
        Take the next instruction word, whatever else is asked for.
    source, outside : In
        The sum in this cycle.
    low_sum, high_sum : In(1)
        This half becomes the sum.
    low_shift, low_left : In(1)
        ``low`` is shifted one bit to the right, or to the left.
    setting_low, setting_high : In(1)
        This half of ``high`` becomes the sum, or what comes from outside.
    high_trim : In(1)
        The upper 16 bits of ``high`` become zero.
    operand : In
        What the operand becomes, unless ``hold``.
    hold : In(1)
        Keep the operand.
    value : In(32)
        What the register memory has read.
    pc, setting : In(16), memory : In(32)
        What may come in from outside.
    low, high : Out(32)
        The two halves.
    carry : Out(1)
        The adder's carry in this cycle.
    """

    load: Signal
    word: Signal
    source: Any
    outside: Any
    low_sum: Signal
    high_sum: Signal
    low_shift: Signal
    low_left: Signal
    setting_low: Signal
    setting_high: Signal
    high_trim: Signal
    operand: Any
    hold: Signal
    value: Signal
    pc: Signal
    setting: Signal
    memory: Signal
    low: Signal
    high: Signal
    carry: Signal

    def __init__(self) -> None:
        super().__init__({
            "load": In(1),
            "word": In(WORD_BITS),
            "source": In(Source),
            "outside": In(Outside),
            "low_sum": In(1),
            "high_sum": In(1),
            "low_shift": In(1),
            "low_left": In(1),
            "setting_low": In(1),
            "setting_high": In(1),
            "high_trim": In(1),
            "operand": In(Operand),
            "hold": In(1),
            "value": In(32),
            "pc": In(PC_BITS),
            "setting": In(PC_BITS),
            "memory": In(32),
            "low": Out(32),
            "high": Out(32),
            "carry": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        low = Signal(32, reset_less=True)
        high = Signal(32, reset_less=True)
        operand = Signal(32, reset_less=True)

        first = Signal(32)
        outside = Signal(32)
        total = Signal(33)
        with m.Switch(self.source):
            with m.Case(Source.LOW):
                m.d.comb += first.eq(low)
            with m.Case(Source.HIGH):
                m.d.comb += first.eq(high)
            with m.Case(Source.NOT_LOW):
                m.d.comb += first.eq(~low)
        with m.Switch(self.outside):
            with m.Case(Outside.PC):
                m.d.comb += outside.eq(self.pc)
            with m.Case(Outside.SETTING):
                m.d.comb += outside.eq(self.setting.replicate(2))
            with m.Case(Outside.READ):
                m.d.comb += outside.eq(self.memory)
        m.d.comb += [
            total.eq(first + operand),
            self.carry.eq(total[32]),
            self.low.eq(low),
            self.high.eq(high),
        ]

        shifted = Mux(self.low_left, low << 1, low >> 1)
        moves = self.low_shift | self.low_left
        with m.If(self.load | self.low_sum | moves):
            m.d.sync += low.eq(Mux(self.load, self.word[:32], Mux(moves, shifted, total)))
        new = Mux(self.load, self.word[32:], total[:32] | outside)
        with m.If(self.load | self.high_sum | self.setting_low):
            m.d.sync += high[:16].eq(new[:16])
        with m.If(self.load | self.high_sum | self.setting_high):
            m.d.sync += high[16:].eq(new[16:])
        with m.If(self.high_trim):
            m.d.sync += high[16:].eq(0)
        with m.If(~self.hold):
            with m.Switch(self.operand):
                with m.Case(Operand.ZERO):
                    m.d.sync += operand.eq(0)
                with m.Case(Operand.VALUE):
                    m.d.sync += operand.eq(self.value)
                with m.Case(Operand.UPPER):
                    m.d.sync += operand.eq(self.value << 16)
                with m.Case(Operand.ONES):
                    m.d.sync += operand.eq(0xFFFF_FFFF)

        return m
