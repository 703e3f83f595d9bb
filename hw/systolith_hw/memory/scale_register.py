"""The register in front of some lanes of scale memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import entry_write, scale_entry, scale_write

__all__ = ["ScaleRegister", "scale_groups"]

REGISTER_LANES = 4
"""So many lanes share one: their blocks stand together."""


def scale_groups(config: Config) -> list[range]:
    """Return the lanes of each of the memories that scale memory is made of."""
    lanes = config.vector.lanes
    most = REGISTER_LANES if config.vector.rows else lanes
    return [range(first, min(first + most, lanes)) for first in range(0, lanes, most)]


class ScaleRegister(wiring.Component):
    """Choose what is written, a single channel before LOAD's, and hold it for a cycle.

    All lanes are offered the same constants; those that ``enable`` names take them.

    =========== ====================================================
    Latency     1 cycle
    Throughput  1 write per cycle; never stalls
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes.
    lanes : range
        Those in front of which it stands.

    Members
    -------
    write : In(scale_write(config)), taken : In(1)
        LOAD's write, and that there is one.
    entry : In(entry_write(config)), comes : In(1)
        A single channel's, and that there is one: then there is none of LOAD's.
    address : Out(range(memory.scale_words)), enable : Out(one bit for each of its lanes)
        What is written.
    constants : Out(as many scale_entry() as LOAD writes at once)
        Lane n takes number n modulo so many.
    """

    write: Any
    taken: Signal
    entry: Any
    comes: Signal
    address: Signal
    enable: Signal
    constants: data.View

    def __init__(self, config: Config, lanes: range) -> None:
        self.config = config
        self.lanes = lanes
        super().__init__({
            "write": In(scale_write(config)),
            "taken": In(1),
            "entry": In(entry_write(config)),
            "comes": In(1),
            "address": Out(range(config.memory.scale_words)),
            "enable": Out(len(lanes)),
            "constants": Out(data.ArrayLayout(scale_entry(), config.scale_write_lanes)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        write, entry = self.write, self.entry
        address = Signal.like(self.address, reset_less=True)
        constants = Signal(self.constants.shape(), reset_less=True)
        enable = Signal.like(self.enable)
        for index, lane in enumerate(self.lanes):
            loaded = self.taken & (write.part == lane // self.config.scale_write_lanes)
            m.d.sync += enable[index].eq(Mux(self.comes, entry.lane == lane, loaded))
        m.d.sync += address.eq(Mux(self.comes, entry.address, write.address))
        for held, loaded in zip(constants, write.data, strict=True):
            m.d.sync += held.eq(Mux(self.comes, entry.entry.as_value(), loaded.as_value()))
        m.d.comb += [
            self.address.eq(address),
            self.enable.eq(enable),
            self.constants.eq(constants),
        ]
        return m
