"""The units VECTOR and ROW, which share one datapath."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..interfaces import unit_ports
from ..isa import SLOT_BITS, Opcode
from .block_loop import BlockLoop
from .block_order import drain_descriptor
from .datapath import EVENTS
from .row_loop import RowLoop
from .row_order import row_descriptor
from .row_pipeline import RowPipeline

__all__ = ["SharedUnit"]

PATHS = ("results", "scale_writes", "words", "lanes", "wide", "stream", "wide_read")
COUNTS = ("saturations", "flushes")


class SharedUnit(wiring.Component):
    """Carry out DRAIN, SAMPLE, NORM and SOFTMAX.

    ::

        instruction ──────►[ BlockLoop ]──► beats ──►┐              ┌──► words, lanes
        results ────────────────────────────────────►[ RowPipeline ]┼──► wide
        row.instruction ──►[ RowLoop ]────► beats ──►┘  ▲           └──► stream
                                                        └── wide_read

    =========== ====================================================
    Latency     of the datapath
    Throughput  1 beat per cycle, of both units together
    Stall       no combinational path from one stream to another
    Golden      :mod:`systolith_sim.machine.vector`, :mod:`systolith_sim.machine.row`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        The one description; ``vector.rows`` is not zero.
    target : str
        "generic", "ecp5" or "ice40": for the multipliers.

    Members
    -------
    Those of :class:`~systolith_hw.vector.unit.VectorUnit`, for VECTOR, and

    row : Out(unit_ports with row_descriptor(), and events)
        The ports of the unit ROW.
    lanes : Out(stream of lane_write(config), always ready)
        Rows of values, for the array.
    wide_read : Out(WideRead(config))
        Wide memory, always granted.
    arrived : In(1)
        A beat of sums has entered the array's FIFO; it is in ``results`` four cycles later.
    number : Out(16), number_told : Out(1)
        Of BEST or SAMPLE, the last one.
    """

    instruction: stream.Interface
    results: stream.Interface
    scale_writes: stream.Interface
    words: stream.Interface
    lanes: stream.Interface
    wide: stream.Interface
    stream: stream.Interface
    wide_read: Any
    arrived: Signal
    number: Signal
    number_told: Signal
    wait: Any
    post_inner: Any
    post_outer: Any
    fault: Any
    halt: Signal
    idle: Signal
    events: data.View
    row: Any
    saturations: Signal
    flushes: Signal

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        self.pipeline = pipeline = RowPipeline(config, target)
        paths = {name: pipeline.signature.members[name] for name in (*PATHS, *COUNTS)}
        row = {**unit_ports(Opcode.NORM), "instruction": In(stream.Signature(row_descriptor()))}
        super().__init__({
            **unit_ports(Opcode.DRAIN),
            "instruction": In(stream.Signature(drain_descriptor(config))),
            **paths,
            "arrived": In(1),
            "number": Out(SLOT_BITS),
            "number_told": Out(1),
            "events": Out(EVENTS),
            "row": Out(wiring.Signature({**row, "events": Out(EVENTS)})),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.drain = drain = BlockLoop(self.config)
        m.submodules.rows = rows = RowLoop(self.config)
        m.submodules.pipeline = pipeline = self.pipeline
        row: Any = flipped(self.row)
        for name in ("instruction", "wait", "fault"):
            connect(m, flipped(getattr(self, name)), getattr(drain, name))
            connect(m, getattr(row, name), getattr(rows, name))
        for name in (*PATHS, "post_inner", "post_outer"):
            connect(m, flipped(getattr(self, name)), getattr(pipeline, name))
        for name in ("post_inner", "post_outer"):
            connect(m, getattr(row, name), getattr(pipeline, f"row_{name}"))
        connect(m, drain.o, pipeline.beats)
        connect(m, rows.o, pipeline.row_beats)
        m.d.comb += [
            drain.halt.eq(self.halt),
            rows.halt.eq(row.halt),
            pipeline.halt.eq(self.halt | self.fault.valid | row.fault.valid),
            drain.written.eq(pipeline.numbers_written),
            drain.wide_written.eq(pipeline.wide_written),
            drain.exponents_written.eq(pipeline.exponents_written),
            drain.measured.eq(pipeline.measured),
            rows.measuring.eq(drain.measuring),
            rows.written.eq(pipeline.row_written),
            rows.made.eq(pipeline.made),
            pipeline.constants.eq(rows.constants),
            pipeline.best.eq(drain.best),
            pipeline.sampling.eq(drain.sampling),
            pipeline.arrived.eq(self.arrived),
            self.number.eq(pipeline.number),
            self.number_told.eq(pipeline.number_told),
            pipeline.waiting.eq(drain.waiting),
            pipeline.row_waiting.eq(rows.waiting),
            self.idle.eq(drain.idle & pipeline.empty),
            row.idle.eq(rows.idle & pipeline.empty),
            self.events.eq(pipeline.events),
            row.events.eq(pipeline.row_events),
            *(getattr(self, name).eq(getattr(pipeline, name)) for name in COUNTS),
        ]
        return m
