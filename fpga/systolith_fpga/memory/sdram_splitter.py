"""Cut bursts into runs of columns that lie in one row."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .sdram_chips import SdramChip
from .sdram_shapes import SEGMENT_WORDS, burst, segment

__all__ = ["SdramSplitter"]


class SdramSplitter(wiring.Component):
    """Turn a burst into segments, each inside an aligned block of :data:`SEGMENT_WORDS` words.

    Of a byte address, the column is lowest, then the bank, then the row: rows that follow one
    another are in different banks, so that the next can be opened while one is read.

    =========== ==========================================================
    Latency     a burst accepted in cycle t is offered from cycle t + 2 on
    Throughput  1 segment in 2 cycles; 1 more cycle for a new burst
    Stall       ``i.ready`` and ``o`` come from registers
    =========== ==========================================================

    Parameters
    ----------
    chip : SdramChip
        Its geometry.
    data_bytes : int
        Bytes of a beat.

    Members
    -------
    i : In(stream of :func:`~.sdram_shapes.burst`)
        Bursts; where a beat begins is rounded down to a multiple of it.
    o : Out(stream of :func:`~.sdram_shapes.segment`)
        Their segments.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, chip: SdramChip, data_bytes: int) -> None:
        self.chip = chip
        self.words = data_bytes // chip.data_bytes
        super().__init__({
            "i": In(stream.Signature(burst(chip.address_bits))),
            "o": Out(stream.Signature(segment(chip))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        block = (SEGMENT_WORDS - 1).bit_length()
        bits = (self.words - 1).bit_length()
        request, made = self.i.p, self.o.p
        place = Signal(self.chip.address_bits - 1)  # a word's address
        left = Signal(8 + bits)  # words of the burst that are not yet offered, less one
        write = Signal()
        busy = Signal()
        offered = Signal()
        room = ~place[:block]  # words of the block behind this one

        low = self.chip.column_bits
        m.d.comb += [
            self.i.ready.eq(~busy),
            self.o.valid.eq(offered),
            made.column.eq(place),
            made.bank.eq(place[low:]),
            made.row.eq(place[low + self.chip.bank_bits :]),
            made.write.eq(write),
        ]
        m.d.sync += [
            made.final.eq(left <= room),
            made.last.eq(Mux(left <= room, left, room)),
            offered.eq(busy & ~(offered & self.o.ready)),
        ]
        with m.If(~busy):
            m.d.sync += [
                busy.eq(self.i.valid),
                place.eq(Cat(C(0, bits), request.address[1 + bits :])),
                left.eq(Cat(C((1 << bits) - 1, bits), request.last)),
                write.eq(request.write),
            ]
        with m.Elif(offered & self.o.ready):
            m.d.sync += [
                busy.eq(~made.final),
                place.eq(Cat(C(0, block), place[block:] + 1)),
                left.eq(left - room - 1),
            ]
        return m
