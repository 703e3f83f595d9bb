"""Cut strided runs of external memory into bursts."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config

__all__ = ["Requester", "burst", "extent", "extent_of", "mark"]


def _low_bits(config: Config) -> int:
    return (config.bus.data_bytes - 1).bit_length()


def extent(config: Config) -> data.StructLayout:
    """Return the shape of strided runs in external memory, in beats.

    ``far`` says that ``stride`` had bits beyond the address.
    """
    bits = config.bus.address_bits - _low_bits(config)
    beats = config.sequencer.count_width
    return data.StructLayout({"address": bits, "stride": bits, "far": 1, "beats": beats})


def extent_of(config: Config, fields) -> dict[str, Value]:
    """Return the :func:`extent` of a descriptor of LOAD or STORE, field by field."""
    low, high = _low_bits(config), config.bus.address_bits
    return {
        "address": fields.address[low:high],
        "stride": fields.row_stride[low:high],
        "far": fields.row_stride[high:].any(),
        "beats": fields.beats,
    }


def mark(config: Config) -> data.StructLayout:
    """Return the shape of what a burst is: beats less one, whether it ends a run, and which."""
    last = range(max(config.bus.burst_beats, 2))
    return data.StructLayout({"last": last, "run_end": 1, "last_run": 1})


def burst(config: Config) -> data.StructLayout:
    """Return the shape of a burst: byte ``address`` and :func:`mark`."""
    return data.StructLayout({"address": config.bus.address_bits, "mark": mark(config)})


class Requester(wiring.Component):
    """Walk the runs of a transfer and cut each into bursts.

    A burst ends at the next multiple of the longest burst, so that all but the first of a run
    are aligned and none crosses 4096 bytes. ::

        run      ......|===============|===============|======.........
        bursts         4 beats    16 beats        16 beats    6 beats
        number            0           1               2          3

    ``top = offset + beats - 1``, the last beat counted from the block that the run begins in, is
    all that is needed: its high part is the number of the last burst, its low part where that
    ends.

    =========== ==========================================================
    Latency     2 cycles from ``i.valid`` to ``o.valid``
    Throughput  1 burst in 2 cycles
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
        Strobes: permission for a run, and for the first of a transfer, is wanted. For all but the
        first it is asked when the run before begins.
    go : In(1)
        It is given; from the cycle after ``ask`` until the next.
    last_row : In(1)
        The run that ``go`` permits is the last of its transfer.
    take : Out(1)
        Strobe: a run that ``go`` permits begins.
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
    last_row: Signal
    take: Signal
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
            "last_row": In(1),
            "take": Out(1),
            "stop": In(1),
            "beyond": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        fields = self.i.payload

        row = Signal(len(fields.address) + 1, reset_less=True)  # top bit: beyond the address space
        total = Signal.like(row)
        closing = Signal()
        offering = Signal()
        accepted = Signal()
        settled = Signal()  # `over` is of this burst
        m.d.sync += settled.eq(~accepted)
        final, over = self._elaborate_burst(m, row, accepted)
        m.d.comb += [
            total.eq(row[:-1] + fields.stride),
            self.o.valid.eq(offering & settled & ~over),
            self.o.p.mark.run_end.eq(final),
            self.o.p.mark.last_run.eq(closing),
            accepted.eq(self.o.valid & self.o.ready),
            self.i.ready.eq(accepted & final & closing),
            self.ask.eq(self.ask_first | (self.take & ~self.last_row)),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.ask_first.eq(self.i.valid & ~self.stop)
                with m.If(self.ask_first):
                    m.d.sync += row.eq(fields.address)
                    m.next = "PREPARE"
            with m.State("PREPARE"):
                m.d.comb += [
                    self.beyond.eq(row[-1]), self.take.eq(self.go & ~row[-1] & ~self.stop)
                ]  # fmt: skip
                with m.If(self.take):
                    m.d.sync += closing.eq(self.last_row)
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += [offering.eq(1), self.beyond.eq(settled & over)]
                with m.If(accepted & final):
                    m.d.sync += row.eq(Cat(total[:-1], total[-1] | fields.far))
                    m.next = "PREPARE"
                    with m.If(closing):
                        m.next = "IDLE"
                with m.Elif(accepted & self.stop):
                    m.next = "PREPARE"

        return m

    def _elaborate_burst(self, m: Module, row: Value, accepted: Value) -> tuple[Value, Value]:
        """Add the burst of the run at ``row``; return "last of its run" and "beyond".

        Both are known from registers: a run stands still for a cycle before it is taken, and there
        is one between two bursts.
        """
        split = (self.config.bus.burst_beats - 1).bit_length()
        offset, start = row[:split], row[split:-1]

        top = Signal(len(self.i.p.beats) + 1, reset_less=True)
        number = Signal(len(top) - split)
        aligned = Signal()  # at a boundary: not the first of its run
        block = Signal(max(len(start), len(number)) + 1)
        begin = Signal(split)
        final = Signal()
        single = Signal()  # the first burst is the last
        last = Signal()  # any other is
        over = Signal()
        run_end = accepted & final
        following = ((offset - 1) + self.i.p.beats)[: len(top)]
        m.d.sync += [
            top.eq(following),
            single.eq(following[split:] == 0),
            last.eq(number == top[split:]),
            number.eq(Mux(run_end, 0, number + accepted)),
            aligned.eq(~run_end & (aligned | accepted)),
            over.eq(block[len(start)]),
        ]
        m.d.comb += [
            block.eq(start + number),
            begin.eq(Mux(aligned, 0, offset)),
            final.eq(Mux(aligned, last, single)),
            self.o.p.address.eq(
                Cat(Const(0, _low_bits(self.config)), begin, block[: len(start)])
            ),
            self.o.p.mark.last.eq(Mux(final, top[:split] - begin, ~begin)),
        ]
        return final, over
