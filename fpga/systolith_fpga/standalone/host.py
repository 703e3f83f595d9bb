"""A CPU in the place of a host."""

from dataclasses import dataclass
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.bus.register_port import RegisterPort
from systolith_hw.bus.wishbone_slave import WishboneSlave
from systolith_hw.config import Config
from systolith_hw.interfaces import ReadPort, WritePort

from ..soc.arbiter import Arbiter
from ..soc.bridge import Bridge
from ..soc.cpu import cpu_named
from ..soc.decoder import Decoder
from ..soc.memory import LocalMemory
from ..soc.register_slice import RegisterSlice
from ..soc.timer import Timer
from ..soc.uart import Uart
from ..soc.wishbone import join
from .flash_copier import FlashCopier
from .flash_reader import FlashReader
from .memory_access import MemoryAccess
from .spi_flash import FlashPins, SpiFlash, half_period

__all__ = ["CPU", "MAP", "PAGES", "HostSettings", "StandaloneHost"]

CPU = "sentinel"
PAGES = {0x0: "local", 0x8: "memory", 0xA: "core", 0xC: "uart", 0xD: "timer", 0xE: "flash"}
"""Who answers, by the upper four bits of an address."""

MAP = {name: page << 28 for page, name in PAGES.items()}
"""Where each begins, for the CPU."""

WINDOW_BITS = 28
"""Of main memory that the CPU sees."""


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """What a standalone board has in the place of a host.

    Parameters
    ----------
    flash : SpiFlash
    image_offset : int
        Where in it the model's image begins, behind the bitstream.
    baud : int
        Of the serial line.
    local_bytes : int
        The CPU's own memory.
    """

    flash: SpiFlash
    image_offset: int
    baud: int = 115_200
    local_bytes: int = 12 << 10


class StandaloneHost(wiring.Component):
    """The other end of a board's core and memory, in the place of
    :class:`~systolith_fpga.link.link_bridge.LinkBridge`; wiring only.

    ::

        CPU ─► slice ─► decoder ─┬─► local memory, UART, timer
                                 ├─► registers
                                 ├─► copier ◄── reader ──► flash_*
                                 │     └──┐
                                 └─► bridge ─► arbiter ─► access ─► load, store

    Parameters
    ----------
    config : Config
        Of the core.
    settings : HostSettings
    clock_hz : float
        Of the domain that this is in: the core's.
    program : bytes
        What the CPU's memory holds at the start.

    Members
    -------
    rx : In(1), tx : Out(1)
        The serial line.
    load : Out(ReadPort(config)), store : Out(WritePort(config)), registers : Out(RegisterPort())
    irq : In(1)
        The core's interrupt line, which the program does without.
    active : Out(1)
        Bits go over the line: for a lamp.
    flash : Out(FlashPins())
    """

    rx: Signal
    tx: Signal
    load: Any
    store: Any
    registers: Any
    irq: Signal
    active: Signal
    flash: Any

    def __init__(
        self, config: Config, settings: HostSettings, *, clock_hz: float, program: bytes
    ) -> None:
        self.config, self.settings, self.program = config, settings, program
        self.divisor = round(clock_hz / settings.baud)
        self.half = half_period(settings.flash, clock_hz)
        self.deselect = 1 + int(settings.flash.deselect_ns * 1e-9 * clock_hz)
        super().__init__({
            "rx": In(1), "tx": Out(1),
            "load": Out(ReadPort(config)), "store": Out(WritePort(config)),
            "registers": Out(RegisterPort()), "irq": In(1), "active": Out(1),
            "flash": Out(FlashPins()),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        bus, settings = self.config.bus, self.settings
        m.submodules.cpu = cpu = cpu_named(CPU)()
        m.submodules.decoder = decoder = Decoder(PAGES)
        m.submodules.slice = part_way = RegisterSlice(30, 4)
        m.submodules.local = local = LocalMemory(settings.local_bytes, self.program)
        m.submodules.uart = uart = Uart(self.divisor)
        m.submodules.timer = timer = Timer()
        m.submodules.slave = slave = WishboneSlave()
        m.submodules.reader = reader = FlashReader(self.half, self.deselect)
        m.submodules.copier = copier = FlashCopier(bus.address_bits, bus.data_bytes)
        m.submodules.bridge = bridge = Bridge(min(bus.address_bits, WINDOW_BITS), bus.data_bytes)
        m.submodules.access = access = MemoryAccess(self.config)
        word_bits = len(access.bus.adr)
        m.submodules.arbiter = arbiter = Arbiter(word_bits, bus.data_bytes, outstanding=2)
        connect(m, cpu.bus, part_way.master)
        connect(m, part_way.slave, decoder.bus)
        for name, part in {
            "local": local.bus, "uart": uart.bus, "timer": timer.bus, "memory": bridge.cpu,
            "core": slave.bus, "flash": copier.bus,
        }.items():  # fmt: skip
            join(m, decoder.slaves[name], part)
        for master, port in zip((bridge.memory, copier.memory), arbiter.masters, strict=True):
            join(m, master, port)
        connect(m, arbiter.slave, access.bus)
        connect(m, copier.request, reader.request)
        connect(m, reader.o, copier.i)
        for part, own in (
            (slave.port, self.registers), (reader.pins, self.flash), (access.load, self.load),
            (access.store, self.store),
        ):  # fmt: skip
            connect(m, part, flipped(own))
        m.d.comb += [uart.rx.eq(self.rx), self.tx.eq(uart.tx), cpu.irq.eq(self.irq)]
        m.d.sync += self.active.eq(~self.rx | ~self.tx)
        return m
