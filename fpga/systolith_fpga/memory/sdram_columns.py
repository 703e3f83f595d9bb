"""Read and write the columns of segments whose rows are open, a word per cycle."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .sdram_chips import SdramTiming
from .sdram_shapes import command, segment

__all__ = ["SdramColumns"]


class SdramColumns(wiring.Component):
    """Issue a READ or WRITE of one word per cycle, except where the opener has a command.

    One segment is under way and one waits, so that there is no gap between them. A WRITE waits
    until the data of the last READ have left the pins, and a cycle more for the pins to turn.

    =========== ==========================================================
    Latency     a segment accepted in cycle t issues from cycle t + 2 on
    Throughput  1 word per cycle
    Stall       ``steal``; ``i.ready`` comes from a register
    =========== ==========================================================

    Parameters
    ----------
    timing : SdramTiming
        The chip at its clock.
    words : int
        Words of a beat, a power of two.

    Members
    -------
    i : In(stream of :func:`~.sdram_shapes.segment`)
        Segments; the first word goes out 2 cycles after at the earliest.
    steal : In(1)
        No command in this cycle.
    command : Out(:func:`~.sdram_shapes.command`)
        READ, WRITE or nothing.
    read, write : Out(1)
        A READ or WRITE was issued a cycle ago.
    word : Out(range(words))
        Which word of its beat that was.
    beat_end, burst_end : Out(1)
        It was the last word of its beat, and of its burst.
    takes : Out(1)
        It was a WRITE, and the last word of its beat.
    used, written : Out(4)
        Banks of the segments that are here, and the bank of that WRITE; both as of a cycle ago.
    """

    i: stream.Interface
    command: Any
    steal: Signal
    read: Signal
    write: Signal
    word: Signal
    beat_end: Signal
    burst_end: Signal
    takes: Signal
    used: Signal
    written: Signal

    def __init__(self, timing: SdramTiming, words: int) -> None:
        self.timing = timing
        self.words = words
        chip = timing.chip
        banks = 1 << chip.bank_bits
        super().__init__({
            "i": In(stream.Signature(segment(chip))),
            "steal": In(1),
            "command": Out(command(chip)),
            "read": Out(1),
            "write": Out(1),
            "word": Out(range(max(words, 2))),
            "beat_end": Out(1),
            "burst_end": Out(1),
            "takes": Out(1),
            "used": Out(banks),
            "written": Out(banks),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        shape = segment(self.timing.chip)
        now: Any = Signal(shape)
        then: Any = Signal(shape, reset_less=True)
        active, waiting, ending = Signal(), Signal(), Signal()
        turn = Signal(self.timing.cas + 1)  # ones while a WRITE would meet the data of a READ
        go, load = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~waiting),
            go.eq(active & ~self.steal & ~(now.write & turn[0])),
            load.eq(~active | (go & ending)),
            self.command.cas.eq(go),
            self.command.we.eq(go & now.write),
            self.command.bank.eq(Mux(go, now.bank, 0)),
            self.command.address.eq(Mux(go, now.column, 0)),
        ]
        with m.If(go):
            m.d.sync += [now.column.eq(now.column + 1), now.last.eq(now.last - 1),
                         ending.eq(now.last == 1)]  # fmt: skip
        with m.If(load):
            m.d.sync += [now.eq(then), active.eq(waiting), ending.eq(then.last == 0),
                         waiting.eq(0)]  # fmt: skip
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [then.eq(self.i.payload), waiting.eq(1)]

        one_hot = [
            (active & (now.bank == bank)) | (waiting & (then.bank == bank))
            for bank in range(len(self.used))
        ]
        offset = (self.words - 1).bit_length()
        beat_end = now.column[:offset].all() if offset else C(1)
        m.d.sync += [
            turn.eq(turn[1:] | Mux(go & ~now.write, (1 << len(turn)) - 1, 0)),
            self.read.eq(go & ~now.write),
            self.write.eq(go & now.write),
            self.word.eq(now.column[:offset]),
            self.beat_end.eq(beat_end),
            self.takes.eq(go & now.write & beat_end),
            self.burst_end.eq(ending & now.final),
            self.used.eq(Cat(one_hot)),
            self.written.eq(Mux(go & now.write, 1 << now.bank, 0)),
        ]
        return m
