"""AXI4 master for program fetch, LOAD and STORE."""


from amaranth import *
from amaranth.lib.wiring import connect, flipped

from ..config import Config
from .attach import attach
from .axi import Axi4
from .axi_reader import AxiReader
from .axi_writer import AxiWriter
from .memory_side import MemorySide

__all__ = ["AxiMemory"]


class AxiMemory(MemorySide):
    """The AXI4 master: :class:`AxiReader` and :class:`AxiWriter` side by side; wiring only.

    Parameters
    ----------
    config : Config
        Uses ``bus`` and ``short_pipelines``.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config, Axi4(config))

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
