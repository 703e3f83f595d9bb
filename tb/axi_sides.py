"""Host and memory on AXI4-Lite and AXI4, both cocotbext-axi's."""

import itertools
import random

from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave

from bus_memory import BusMemory

__all__ = ["AxiSides"]


class Target:
    """Memory as :class:`cocotbext.axi.AxiSlave` asks for it; what raises is answered SLVERR."""

    def __init__(self, memory: BusMemory) -> None:
        self.memory = memory

    async def read(self, address: int, count: int) -> bytes:
        return self.memory.load(address, count)

    async def write(self, address: int, data: bytes) -> None:
        self.memory.store(address, data)


class AxiSides:
    """A host and a memory that pause with probability ``pause`` on every channel.

    With pauses, memory also serves bursts of different IDs in any order. The model itself checks
    that no burst crosses 4096 bytes, and where W says that a burst ends.
    """

    def __init__(self, dut, memory: BusMemory, pause: float) -> None:
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.slave = AxiSlave(
            AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, target=Target(memory)
        )
        self.overtaken = 0
        for side in (self.host, self.slave):
            for channel in (
                side.write_if.aw_channel, side.write_if.w_channel, side.write_if.b_channel,
                side.read_if.ar_channel, side.read_if.r_channel,
            ):  # fmt: skip
                channel.log.setLevel("WARNING")
                if pause:
                    channel.set_pause_generator(
                        random.random() < pause for _ in itertools.count()
                    )
        for log in (self.host.write_if.log, self.host.read_if.log,
                    self.slave.write_if.log, self.slave.read_if.log):  # fmt: skip
            log.setLevel("ERROR")
        if pause:
            self._reorder(dut.clk, self.slave.read_if.ar_channel)

    def _reorder(self, clk, channel) -> None:
        """Give the model read requests of different IDs in any order."""
        channel.queue_occupancy_limit = 8
        arrived = channel.recv
        waiting: list = []

        async def receive():
            if not waiting:
                waiting.append(await arrived())
            for _ in range(random.randrange(12)):
                await RisingEdge(clk)
            while not channel.empty():
                waiting.append(channel.recv_nowait())
            first: dict[int, int] = {}
            for index, burst in enumerate(waiting):
                first.setdefault(int(burst.arid), index)
            chosen = random.choice(list(first.values()))
            self.overtaken += chosen > 0
            return waiting.pop(chosen)

        channel.recv = receive

    async def read(self, offset: int) -> int:
        """Read a register."""
        return await self.host.read_dword(offset)

    async def write(self, offset: int, value: int) -> None:
        """Write a register."""
        await self.host.write_dword(offset, value)
