"""Row memory: what VECTOR and ROW tell each other of a token."""

from typing import Any

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from .row_maximum import INTEGER_BITS
from .row_shapes import factor

__all__ = ["RowMemory", "factor_write", "reference_write", "row_number"]


def row_number(config: Config) -> range:
    """Return the shape of a row's number."""
    return range(max(config.vector.rows, 2))


def reference_write(config: Config) -> data.StructLayout:
    """Return the shape of a write of a reference: the integer part of a row's largest score."""
    return data.StructLayout({"row": row_number(config), "reference": signed(INTEGER_BITS)})


def factor_write(config: Config) -> data.StructLayout:
    """Return the shape of a write of a factor: ``scale * 2**-shift``."""
    return data.StructLayout({"row": row_number(config), "factor": factor()})


class RowMemory(wiring.Component):
    """Keep a reference and a factor of each row, in two memories made of logic.

    ::

        DRAIN ───► references ──► SOFTMAX
        SOFTMAX ─► factors ─────► DRAIN

    =========== ====================================================================
    Latency     1 cycle (:attr:`latency`) from a row's number to what is kept of it;
                what is written may be read from the next cycle on
    Throughput  two writes and two reads per cycle
    Golden      ``reference``, ``factor_scale`` and ``factor_shift`` of
                :class:`systolith_sim.machine.memory.ChipMemory`
    =========== ====================================================================

    Parameters
    ----------
    config : Config
        Uses ``vector.rows``.

    Members
    -------
    references : In(stream of reference_write(config), always ready)
        From ``RowMaximum``, with DRAIN's row.
    factors : In(stream of factor_write(config), always ready)
        From ``RowFactor``, with SOFTMAX's row.
    reference_row : In(range(rows)), reference : Out(signed(16))
        For SOFTMAX.
    factor_row : In(range(rows)), factor : Out(factor())
        For DRAIN.
    """

    latency = 1

    references: stream.Interface
    factors: stream.Interface
    reference_row: Signal
    reference: Signal
    factor_row: Signal
    factor: data.View

    def __init__(self, config: Config) -> None:
        self.config = config
        row = row_number(config)
        super().__init__({
            "references": In(stream.Signature(reference_write(config), always_ready=True)),
            "factors": In(stream.Signature(factor_write(config), always_ready=True)),
            "reference_row": In(row),
            "reference": Out(signed(INTEGER_BITS)),
            "factor_row": In(row),
            "factor": Out(factor()),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        for name, port in (("reference", self.references), ("factor", self.factors)):
            shape = Value.cast(port.payload[name]).shape()
            attrs: dict[str, Any] = {"ram_style": "distributed"}
            store: memory.Memory = memory.Memory(
                shape=unsigned(shape.width), depth=len(row_number(self.config)), init=[],
                attrs=attrs,
            )  # fmt: skip
            m.submodules[f"{name}s"] = store
            write, read = store.write_port(), store.read_port(domain="comb")
            kept = Signal(shape.width, name=f"kept_{name}", reset_less=True)
            m.d.comb += [
                write.en.eq(port.valid),
                write.addr.eq(port.payload.row),
                write.data.eq(port.payload[name]),
                read.addr.eq(getattr(self, f"{name}_row")),
                Value.cast(getattr(self, name)).eq(kept),
            ]
            m.d.sync += kept.eq(read.data)
        return m
