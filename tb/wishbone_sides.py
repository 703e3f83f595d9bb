"""Host and memory on Wishbone, both cocotbext-wishbone's.

Its slave (2.0.1) waits for its own answer before it looks at the next strobe, whether or not it
stalls the bus meanwhile, so it loses the strobes of a pipelined master. It is used as it is for
masters that wait, and with a new loop around its parts, :class:`PipelinedSlave`, for those that do
not.
"""

import itertools
import random

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.wishbone import driver, monitor
from cocotbext.wishbone.driver import WBOp, WishboneMaster
from cocotbext.wishbone.monitor import WishboneSlave

from bus_memory import BusMemory, Refused

__all__ = ["WishboneSides"]

# What is set at once, before anything has run, Icarus 11 does not tell the gates behind it.
driver.set_immediate = monitor.set_immediate = lambda pin, value: setattr(pin, "value", value)

SIGNALS = {
    "cyc": "cyc", "stb": "stb", "we": "we", "adr": "adr", "datwr": "dat_w", "datrd": "dat_r",
    "ack": "ack",
}  # fmt: skip

ACK, ERR = 1, 2
SINGLE, INCREMENTING, LAST = 0, 2, 7


class PipelinedSlave(WishboneSlave):
    """Looks at the bus in every cycle, as a pipelined slave does; all else is the library's."""

    async def _monitor_recv(self) -> None:
        while True:
            await RisingEdge(self.clock)
            if self.entity.rst.value == 0:  # before, the core may not know what it drives
                self._respond()


class WishboneSides:
    """A host, and a memory that stalls and answers late with probability ``pause``.

    The memory is pipelined if the module around the core has ``m_wb_stall``, and has registered
    feedback if not.
    """

    def __init__(self, dut, memory: BusMemory, pause: float) -> None:
        self.clk = dut.clk
        self.memory = memory
        self.pause = pause
        self.data_bytes = len(dut.m_wb_sel)
        self.host = WishboneMaster(dut, "s_wb", dut.clk, timeout=1000, signals_dict=SIGNALS)
        kind = PipelinedSlave if hasattr(dut, "m_wb_stall") else WishboneSlave
        self.slave = kind(
            dut, "m_wb", dut.clk, signals_dict=SIGNALS, datgen=self._words(), ackgen=self._acks(),
            waitreplygen=self._waits(), waitstallgen=self._stalls(),
        )  # fmt: skip
        for part in (self.host, self.slave):
            part.log.setLevel("WARNING")
        cocotb.start_soon(self._check_bursts(dut))

    @property
    def _address(self) -> int:
        return int(self.slave.bus.adr.value) * self.data_bytes

    def _words(self):
        """Yield what each strobe of a read is answered with."""
        while True:
            try:
                data = self.memory.load(self._address, self.data_bytes)
            except Refused:
                data = random.randbytes(self.data_bytes)
            yield int.from_bytes(data, "little")

    def _acks(self):
        """Do each strobe's write, and yield how it is answered."""
        while True:
            bus = self.slave.bus
            try:
                if bus.we.value:
                    data = int(bus.datwr.value).to_bytes(self.data_bytes, "little")
                    self.memory.store_selected(self._address, data, int(bus.sel.value))
                else:
                    self.memory.load(self._address, self.data_bytes)
                yield ACK
            except Refused:
                yield ERR

    def _waits(self):
        for _ in itertools.count():
            yield random.randrange(4) if random.random() < self.pause else 0

    def _stalls(self):
        while True:
            yield (random.randrange(1, 4), 1) if random.random() < self.pause else (0, 1)

    async def _check_bursts(self, dut) -> None:
        """Check what a memory with registered feedback may rely on."""
        expected = None
        while True:
            await RisingEdge(dut.clk)
            if dut.rst.value != 0:
                expected = None
                continue
            cyc, stb = bool(dut.m_wb_cyc.value), bool(dut.m_wb_stb.value)
            assert cyc or not stb, "STB without CYC"
            if expected is not None:
                assert stb, "a gap within a burst"
                assert expected == (int(dut.m_wb_we.value), int(dut.m_wb_adr.value))
            if not stb:
                continue
            if hasattr(dut, "m_wb_stall"):
                taken = not dut.m_wb_stall.value
            else:
                taken = bool(dut.m_wb_ack.value) or bool(dut.m_wb_err.value)
            we, adr = int(dut.m_wb_we.value), int(dut.m_wb_adr.value)
            cti = int(dut.m_wb_cti.value)
            assert cti in (SINGLE, INCREMENTING, LAST) and dut.m_wb_bte.value == 0
            assert cti != LAST or expected is not None
            assert cti != SINGLE or expected is None
            if taken:
                expected = (we, adr + 1) if cti == INCREMENTING else None
                assert expected is None or (adr + 1) * self.data_bytes % 4096, "crosses 4096 bytes"
            elif expected is None:
                expected = (we, adr)

    async def read(self, offset: int) -> int:
        """Read a register."""
        return int((await self._access(WBOp(offset // 4))).datrd)

    async def write(self, offset: int, value: int) -> None:
        """Write a register."""
        await self._access(WBOp(offset // 4, int(value)))

    async def _access(self, operation: WBOp):
        (result,) = await self.host.send_cycle([operation])
        assert result.ack == ACK, f"register {4 * operation.adr:#x} answered {result.ack}"
        return result
