"""AXI4 master for program fetch, LOAD and STORE."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..interfaces import ReadPort, WritePort
from .attach import attach
from .axi import Axi4
from .axi_reader import AxiReader
from .axi_writer import AxiWriter

__all__ = ["AxiMemory"]


class AxiMemory(wiring.Component):
    """The AXI4 master: :class:`AxiReader` and :class:`AxiWriter` side by side; wiring only.

    Parameters
    ----------
    config : Config
        Uses ``bus`` and ``short_pipelines``.

    Members
    -------
    fetch, load : In(ReadPort)
        Program fetch and LOAD.
    store : In(WritePort)
        STORE.
    bus : Out(Axi4)
        To memory.
    idle : Out(1)
        No burst asked for or under way.
    """

    fetch: Any
    load: Any
    store: Any
    bus: Any
    idle: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "fetch": In(ReadPort(config)),
            "load": In(ReadPort(config)),
            "store": In(WritePort(config)),
            "bus": Out(Axi4(config)),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.reader = reader = AxiReader(self.config)
        m.submodules.writer = writer = AxiWriter(self.config)
        connect(m, flipped(self.fetch), reader.client_0)
        connect(m, flipped(self.load), reader.client_1)
        connect(m, flipped(self.store), writer.client)
        for part in (reader, writer):
            attach(m, self.bus, "", part.axi)
        m.d.comb += self.idle.eq(reader.idle & writer.idle)
        return m
