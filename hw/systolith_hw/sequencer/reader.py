"""Reads the words of instructions ahead of their use."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..isa import WORDS

__all__ = ["ProgramReader"]


class ProgramReader(wiring.Component):
    """Steers the program memory, so that the word under work is followed by the next at once.

    ::

        address ──►[ block RAM ]──►[ next word ]──►[ word under work ]
                     reading                         held, ``index``

    When the last word of an instruction is asked for, ``follow`` decides whether the next
    instruction's words come right behind it.

    =========== ==========================================================
    Latency     3 cycles from ``begin`` to ``held``
    Throughput  1 word per cycle
    Stall       everything stands while ``held`` and not ``take``
    =========== ==========================================================

    Members
    -------
    begin : In(1)
        Begin to read an instruction; nothing may be under way.
    follow : In(1)
        Go on with the next instruction; looked at with ``last``.
    take : In(1)
        The word is done with.
    flush : In(1)
        Forget everything under way.
    read_word : Out(2)
        To the program memory: with ``stage``, read this word of the instruction, if any.
    last : Out(1)
        The last word of the instruction is being asked for: count up its address now, if
        ``follow``.
    stage, load : Out(1)
        What the memory has read becomes the next word, and that the word under work.
    held : Out(1), index : Out(2)
        There is a word under work, and which one of its instruction.
    reading : Out(1)
        More words are on their way, or will be.
    """

    begin: Signal
    follow: Signal
    take: Signal
    flush: Signal
    read_word: Signal
    last: Signal
    stage: Signal
    load: Signal
    held: Signal
    index: Signal
    reading: Signal

    def __init__(self) -> None:
        super().__init__({
            "begin": In(1),
            "follow": In(1),
            "take": In(1),
            "flush": In(1),
            "read_word": Out(range(WORDS)),
            "last": Out(1),
            "stage": Out(1),
            "load": Out(1),
            "held": Out(1),
            "index": Out(range(WORDS)),
            "reading": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        advance = Signal()
        reads = Signal()  # a word that is wanted; memory reads all the same
        loaded = Signal()  # the memory's output is a word that nobody has taken
        staged = Signal()  # so is the next word
        m.d.comb += [
            advance.eq(~self.held | self.take),
            reads.eq(advance & (self.reading | self.begin)),
            self.last.eq(reads & (self.read_word == WORDS - 1)),
            self.stage.eq(advance),
            self.load.eq(advance & staged),
        ]
        with m.If(advance):
            m.d.sync += [
                loaded.eq(reads), staged.eq(loaded), self.held.eq(staged)
            ]  # fmt: skip
        with m.If(reads):
            m.d.sync += [self.read_word.eq(self.read_word + 1), self.reading.eq(1)]
        with m.If(self.last & ~self.follow):
            m.d.sync += self.reading.eq(0)
        with m.If(self.take):
            m.d.sync += self.index.eq(self.index + 1)
        with m.If(self.flush):
            m.d.sync += [
                loaded.eq(0), staged.eq(0), self.held.eq(0), self.reading.eq(0),
                self.read_word.eq(0), self.index.eq(0),
            ]  # fmt: skip

        return m
