"""Cut strided runs of external memory into bursts."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..isa import SLOT_BITS

__all__ = ["Requester", "burst", "extent", "extent_of"]



def _low_bits(config: Config) -> int:
    return (config.bus.data_bytes - 1).bit_length()


def extent(config: Config) -> data.StructLayout:
    """Return the shape of strided runs in external memory, in beats.

    ``far`` says that ``stride`` had bits beyond the address.
    """
    bits = config.bus.address_bits - _low_bits(config)
    return data.StructLayout({
        "address": bits, "stride": bits, "far": 1, "rows": SLOT_BITS, "beats": SLOT_BITS,
    })  # fmt: skip


def extent_of(config: Config, fields) -> dict[str, Value]:
    """Return the :func:`extent` of a descriptor of LOAD or STORE, field by field."""
    low, high = _low_bits(config), config.bus.address_bits
    return {
        "address": fields.address[low:high],
        "stride": fields.row_stride[low:high],
        "far": fields.row_stride[high:].any(),
        "rows": fields.rows,
        "beats": fields.beats,
    }


def burst(config: Config) -> data.StructLayout:
    """Return the shape of a burst: byte ``address``, beats less one, and what it ends."""
    return data.StructLayout({
        "address": config.bus.address_bits, "last": 8, "run_end": 1, "end": 1,
    })  # fmt: skip


class Requester(wiring.Component):
    """Walk the runs of a transfer and cut each into bursts.

    A burst ends at the next multiple of the longest burst, so that all but the first of a run
    are aligned and none crosses 4096 bytes. ::

        run      ......|===============|===============|======.........
        bursts         4 beats    16 beats        16 beats    6 beats

    Two steps work side by side: the *row* step adds the stride and finds where the run ends, the
    *burst* step holds the burst on offer. ``end = offset + beats`` is all that is needed: its
    high part counts the boundaries crossed, its low part is the length of the last burst.

    =========== ==========================================================
    Latency     3 cycles from ``i.valid`` to ``o.valid``
    Throughput  1 burst per cycle inside a run, 1 run in 2 cycles
    Stall       ``i`` is looked at while it waits, and taken with its last
                burst: ``i.ready`` depends combinationally on ``o.ready``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``.

    Members
    -------
    i : In(stream of :func:`extent`)
        Transfers.
    o : Out(stream of :func:`burst`)
        Their bursts.
    ask, ask_first : Out(1)
        Strobes: permission for a run, and for the first of a transfer, is wanted.
    go : In(1)
        It is given; from the cycle after ``ask`` until the next.
    stop : In(1)
        Offer no further burst.
    beyond : Out(1)
        The next burst lies beyond the address space; it is not offered.
    """

    i: stream.Interface
    o: stream.Interface
    ask: Signal
    ask_first: Signal
    go: Signal
    stop: Signal
    beyond: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "i": In(stream.Signature(extent(config))),
            "o": Out(stream.Signature(burst(config))),
            "ask": Out(1),
            "ask_first": Out(1),
            "go": In(1),
            "stop": In(1),
            "beyond": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        fields = self.i.payload
        split = (self.config.bus.burst_beats - 1).bit_length()

        row = Signal(len(fields.address) + 1)  # the top bit: beyond the address space
        index = Signal(SLOT_BITS)
        end = Signal(SLOT_BITS + 1)
        last_row = Signal()
        take = Signal()
        m.d.comb += last_row.eq(index == fields.rows)
        m.d.sync += end.eq(row[:split] + fields.beats)

        taken = Signal()
        final, room, over = self._elaborate_burst(m, take, row, end, last_row)
        m.d.comb += taken.eq(self.o.valid & self.o.ready)

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i.valid & ~self.stop):
                    m.d.comb += [self.ask.eq(1), self.ask_first.eq(1)]
                    m.d.sync += [row.eq(fields.address), index.eq(1)]
                    m.next = "PREPARE"
            with m.State("PREPARE"):
                m.d.comb += self.beyond.eq(row[-1] | over)
                with m.If(self.go & ~row[-1]):
                    m.next = "CUT"
            with m.State("CUT"):
                m.d.comb += [take.eq(room & ~self.stop), self.beyond.eq(over)]
                with m.If(take):
                    total = Signal(len(row))
                    m.d.comb += [
                        total.eq(row[:-1] + fields.stride),
                        self.ask.eq(~last_row),
                    ]
                    m.d.sync += [
                        row.eq(Cat(total[:-1], total[-1] | fields.far)),
                        index.eq(index + 1),
                    ]
                    m.next = "PREPARE"
                    with m.If(last_row):
                        m.next = "FINISH"
            with m.State("FINISH"):
                m.d.comb += self.beyond.eq(over)
                with m.If(taken & final):
                    m.d.comb += self.i.ready.eq(1)
                    m.next = "IDLE"

        return m

    def _elaborate_burst(
        self, m: Module, take: Value, row: Value, end: Value, last_row: Value
    ) -> tuple[Value, Value, Value]:
        """Add the burst step; return "last of its run", "may take a run" and "beyond"."""
        split = (self.config.bus.burst_beats - 1).bit_length()
        low = _low_bits(self.config)

        active = Signal()
        block = Signal(len(row) - split)
        offset = Signal(split)
        blocks = Signal(len(end) - split)
        tail = Signal(split)
        final = Signal()
        closing = Signal()
        accepted = Signal()
        m.d.comb += [
            self.o.valid.eq(active & ~block[-1]),
            self.o.p.address.eq(Cat(Const(0, low), offset, block[:-1])),
            self.o.p.run_end.eq(final),
            self.o.p.end.eq(final & closing),
            accepted.eq(self.o.valid & self.o.ready),
        ]

        # The last burst of a run ends at the tail, the others at a boundary; both zero here.
        end_blocks, end_tail = end[split:], end[:split]
        single = (end_blocks == 0) | ((end_blocks == 1) & ~end_tail.any())
        second = (blocks == 1) | ((blocks == 2) & ~tail.any())
        with m.If(take):
            m.d.sync += [
                active.eq(1),
                block.eq(row[split:]),
                offset.eq(row[:split]),
                blocks.eq(end_blocks),
                tail.eq(end_tail),
                final.eq(single),
                closing.eq(last_row),
                self.o.p.last.eq((Mux(single, end_tail, 0) + ~row[:split])[:split]),
            ]
        with m.Elif(accepted):
            m.d.sync += [
                active.eq(~final & ~self.stop),
                block.eq(block + 1),
                offset.eq(0),
                blocks.eq(blocks - 1),
                final.eq(second),
                self.o.p.last.eq((Mux(second, tail, 0) - 1)[:split]),
            ]

        return final, ~active | (accepted & final), active & block[-1]
