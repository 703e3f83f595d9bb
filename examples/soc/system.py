"""A system on a chip: a RISC-V CPU, its memory, a UART, and Systolith, on one bus."""

from dataclasses import dataclass

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from systolith_fpga.soc.arbiter import Arbiter
from systolith_fpga.soc.bridge import Bridge
from systolith_fpga.soc.cpu import cpu_named
from systolith_fpga.soc.decoder import Decoder
from systolith_fpga.soc.memory import LocalMemory
from systolith_fpga.soc.timer import Timer
from systolith_fpga.soc.uart import Uart
from systolith_fpga.soc.wishbone import Pipelined, Wishbone, flat, join
from systolith_hw.config import Config
from systolith_hw.top import Systolith

__all__ = ["MAP", "PAGES", "Settings", "Soc", "memory_bus"]

PAGES = {0x0: "local", 0x8: "memory", 0xA: "core", 0xC: "uart", 0xD: "timer"}
"""Who answers, by the upper four bits of an address. A CPU with caches caches the lower half only:
what the core and it share is not to be cached."""

MAP = {name: page << 28 for page, name in PAGES.items()}
"""Where each begins, for the CPU."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of a system.

    Parameters
    ----------
    cpu : str
        Key of :data:`systolith_fpga.soc.cpu.CPUS`.
    local_bytes : int
        The CPU's own memory, for program and stack.
    divisor : int
        Cycles of a bit on the serial line.
    optimize : str
        How the compiler optimises the CPU's program.
    local : bytes
        What the CPU's memory holds at the start, where that is not put there in another way.
    """

    cpu: str = "sentinel"
    local_bytes: int = 1 << 15
    divisor: int = 8
    optimize: str = "-O2"
    local: bytes = b""


def memory_bus(config: Config) -> Pipelined:
    """Return the signature of main memory's bus."""
    byte_bits = config.bus.data_bytes.bit_length() - 1
    return Pipelined(config.bus.address_bits - byte_bits, config.bus.data_bytes)


class Soc(wiring.Component):
    """The system; wiring only.

    ::

        CPU ──► decoder ─┬─► local memory
                         ├─► UART
                         ├─► timer
                         ├─► Systolith's registers
                         └─► bridge ──► arbiter ──► memory
                      Systolith ───────────┘

    The CPU's program is in local memory, so the CPU is in the core's way only when it looks at main
    memory itself. Main memory is somebody else's, block RAM or a controller's, and as wide as the
    core's port.

    Parameters
    ----------
    config : Config
        The core.
    settings : Settings
    target : str
        Whose cells the core may use.

    Members
    -------
    tx : Out(1)
    rx : In(1)
        The serial line.
    memory_* : :class:`Pipelined`
        Main memory, as wide as the core's port, and as far as the core's addresses go.
    """

    tx: Signal
    rx: Signal

    def __init__(
        self, config: Config, settings: Settings | None = None, target: str = "generic"
    ) -> None:
        self.config = config
        self.settings = settings or Settings()
        self.target = target
        self.bus = memory_bus(config)
        memory = {f"memory_{name}": member for name, member in self.bus.members.items()}
        super().__init__({"tx": Out(1), "rx": In(1), **memory})

    def elaborate(self, platform) -> Module:
        m = Module()
        settings, width = self.settings, self.config.bus.data_bytes
        m.submodules.cpu = cpu = cpu_named(settings.cpu)()
        m.submodules.decoder = decoder = Decoder(PAGES)
        m.submodules.local = local = LocalMemory(settings.local_bytes, settings.local)
        m.submodules.uart = uart = Uart(settings.divisor)
        m.submodules.timer = timer = Timer()
        m.submodules.bridge = bridge = Bridge(min(self.config.bus.address_bits, 28), width)
        m.submodules.arbiter = arbiter = Arbiter(self.bus.address_bits, width)
        m.submodules.systolith = core = Systolith(self.config, self.target, bus="wishbone")
        connect(m, cpu.bus, decoder.bus)
        registers = flat(core, "s_wb_", Wishbone(10, 4))
        for name, slave in {
            "local": local.bus, "uart": uart.bus, "timer": timer.bus, "memory": bridge.cpu,
            "core": registers,
        }.items():  # fmt: skip
            join(m, decoder.slaves[name], slave)
        first, second = arbiter.masters
        join(m, bridge.memory, first)
        join(m, flat(core, "m_wb_", self.bus), second)
        join(m, arbiter.slave, flat(self, "memory_", self.bus))
        m.d.comb += [self.tx.eq(uart.tx), uart.rx.eq(self.rx), cpu.irq.eq(core.irq)]
        return m
