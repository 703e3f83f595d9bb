"""Where in its run a piece of a LOAD stands."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..isa import LoadKind
from .elements import page_shapes, pieces, written_bytes

__all__ = ["RunCounter", "last_slot_of", "run_fields"]


def run_fields(config: Config) -> data.StructLayout:
    """Return the shape of what makes up the runs of a transfer.

    ``last_slot`` is :func:`last_slot_of` the kind, decoded where there is time for it.
    """
    return data.StructLayout({
        "kind": 3,
        "last_slot": range(max(pieces(config).values())),
        "elements": config.sequencer.count_width,
    })


def last_slot_of(m: Module, config: Config, kind: Value) -> Value:
    """Return where in its element the last piece belongs."""
    slot = Signal(run_fields(config)["last_slot"].shape)
    with m.Switch(kind):
        for value, count in pieces(config).items():
            with m.Case(value):
                m.d.comb += slot.eq(count - 1)
    return slot


class RunCounter(wiring.Component):
    """Count pieces into elements, and elements into pages and runs.

    ::

        run of ACTIVATION, two pieces each:  |exponents|word 0|word 1|pad|
        header, write                                h      w      w
        run_end                                                        e

    All outputs tell of the piece that ``accept`` would take in this cycle.

    =========== ==========================================================
    Latency     0 cycles
    Throughput  1 piece per cycle, also from transfer to transfer
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        The one description.

    Members
    -------
    fields : In(run_fields)
        Of the transfer; they stay until its last run has ended.
    accept : In(1)
        The piece is taken.
    run_end : In(1)
        It ends its run.
    header : Out(1)
        It completes an element in front of a page: an exponent word, or parameters of codes.
    write, step : Out(1)
        It completes what is written at once: an element behind the header, or a part of a scale
        word; and what is written first of an element.
    part : Out(range(parts of a scale word))
        Which part that is, else zero.
    first : Out(1)
        That element is the first of its run.
    last : Out(1)
        What is written then is the last of its run.
    enough : Out(1)
        The run has all its elements: what comes is padding.
    short : Out(1)
        The piece ends its run, and elements are missing.
    """

    fields: data.View
    accept: Signal
    run_end: Signal
    header: Signal
    write: Signal
    step: Signal
    part: Signal
    first: Signal
    last: Signal
    enough: Signal
    short: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "fields": In(run_fields(config)),
            "accept": In(1),
            "run_end": In(1),
            "header": Out(1),
            "write": Out(1),
            "step": Out(1),
            "part": Out(range(config.vector.lanes // config.scale_write_lanes)),
            "first": Out(1),
            "last": Out(1),
            "enough": Out(1),
            "short": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        shapes = page_shapes(self.config)

        slot = Signal(range(max(pieces(self.config).values())))  # of a piece in its element
        # It starts at one: then the last of n is where it equals n.
        element = Signal(self.config.sequencer.count_width, init=1)
        page = Signal(range(max(header + behind for header, behind in shapes.values())))
        page_end = Signal()
        begun = Signal()
        complete = Signal()
        whole = Signal()
        keep = Signal()
        at_header = Signal()
        final = Signal()
        with m.Switch(self.fields.kind):
            for kind, (header, behind) in shapes.items():
                with m.Case(kind):
                    m.d.comb += [
                        at_header.eq(page < header), page_end.eq(page == header + behind - 1)
                    ]  # fmt: skip
        m.d.comb += [
            complete.eq(slot == self.fields.last_slot),
            whole.eq(self.accept & complete & ~self.enough),
            self.header.eq(whole & at_header),
            keep.eq(whole & ~at_header),
            self.first.eq(~begun),
            final.eq(element == self.fields.elements),
            self.write.eq(keep),
            self.step.eq(keep),
            self.last.eq(final),
            self.short.eq(self.accept & self.run_end & ~self.enough & ~(keep & final)),
        ]
        if len(self.part):
            self._elaborate_parts(m, slot, complete, final, at_header)

        with m.If(self.accept):
            m.d.sync += slot.eq(Mux(complete, 0, slot + 1))
        with m.If(whole):
            m.d.sync += page.eq(Mux(page_end, 0, page + 1))
        with m.If(keep):
            m.d.sync += [begun.eq(1), self.enough.eq(final), element.eq(element + 1)]
        with m.If(self.accept & self.run_end):
            m.d.sync += [slot.eq(0), element.eq(1), page.eq(0), begun.eq(0), self.enough.eq(0)]

        return m

    def _elaborate_parts(
        self, m: Module, slot: Value, complete: Value, final: Value, at_header: Value
    ) -> None:
        """Write scale words, which have no headers, part by part."""
        size = written_bytes(self.config)[LoadKind.SCALE]
        low = (size // min(size, self.config.bus.data_bytes) - 1).bit_length()
        scale = self.fields.kind == LoadKind.SCALE
        able = ~self.enough & ~at_header
        written = able & Mux(scale, slot[:low].all(), complete)
        begun = able & Mux(scale, slot == (1 << low) - 1, complete)
        m.d.comb += [
            self.part.eq(Mux(scale, slot[low:], 0)),
            self.last.eq(final & complete),
            # Whether a piece is taken is known late.
            self.write.eq(self.accept & written),
            self.step.eq(self.accept & begun),
        ]
