"""Beats to words for the chip, and its words to beats."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .sdram_chips import SdramTiming
from .sdram_shapes import beat, written

__all__ = ["SdramData"]

TO_PINS = 2
"""Cycles from a column command's strobes, ``read`` and ``write``, to the pins."""

FROM_PINS = 1
"""Cycles that a word is on its way from the pins' flops, which may be far away."""


class SdramData(wiring.Component):
    """Take a word to write for each WRITE, and make beats of what READs bring.

    =========== ==========================================================
    Latency     a word to write is at ``dq_o`` a cycle after ``write``; a
                beat is offered ``capture`` + 4 cycles after ``read`` of
                its last word
    Throughput  1 word per cycle
    Stall       none: ``i`` must have a beat whenever ``write`` is one, and
                ``o`` must take one whenever it is offered
    =========== ==========================================================

    Parameters
    ----------
    timing : SdramTiming
        The chip at its clock.
    data_bytes : int
        Bytes of a beat.

    Members
    -------
    read, write, word, beat_end, burst_end, takes
        As of :class:`~.sdram_columns.SdramColumns`.
    i : In(stream of :func:`~.sdram_shapes.written`)
        Beats to write.
    o : Out(stream of :func:`~.sdram_shapes.beat`, always ready)
        Beats read.
    dq_o, dqm, dq_oe : Out
        For the pins, a cycle later.
    dq_i : In(16)
        From the input flop.
    """

    i: stream.Interface
    o: stream.Interface
    read: Signal
    write: Signal
    word: Signal
    beat_end: Signal
    burst_end: Signal
    takes: Signal
    dq_o: Signal
    dqm: Signal
    dq_oe: Signal
    dq_i: Signal

    def __init__(self, timing: SdramTiming, data_bytes: int) -> None:
        self.timing = timing
        self.width = width = timing.chip.data_bytes
        self.words = data_bytes // width
        super().__init__({
            **{name: In(1) for name in ("read", "write", "beat_end", "burst_end", "takes")},
            "word": In(range(max(self.words, 2))),
            "i": In(stream.Signature(written(data_bytes))),
            "o": Out(stream.Signature(beat(data_bytes), always_ready=True)),
            "dq_o": Out(8 * width),
            "dqm": Out(width),
            "dq_oe": Out(1),
            "dq_i": In(8 * width),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = 8 * self.width
        data, strobe = self.i.p.data, self.i.p.strobe
        m.d.comb += self.i.ready.eq(self.takes)
        m.d.sync += [
            self.dq_oe.eq(self.write),
            self.dq_o.eq(data.word_select(self.word, bits)),
            self.dqm.eq(Mux(self.write, ~strobe.word_select(self.word, self.width), 0)),
        ]
        # What is known of a word travels beside it, to the pins, through the chip and back.
        delay = TO_PINS + self.timing.capture + FROM_PINS
        tags: list[Value] = [Cat(self.read, self.beat_end, self.burst_end)]
        for index in range(delay):
            tag = Signal(3, name=f"tag_{index}")
            m.d.sync += tag.eq(tags[-1])
            tags.append(tag)
        arrived, ends_beat, ends_burst = tags[-1]
        came = Signal(bits)
        m.d.sync += came.eq(self.dq_i)
        with m.If(arrived):
            m.d.sync += self.o.p.data.eq(Cat(self.o.p.data, came)[bits:])
        m.d.sync += [self.o.valid.eq(arrived & ends_beat), self.o.p.last.eq(ends_burst)]
        return m
