"""The deliverable: the core with a bus to memory, one from the host, and an interrupt."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect

from .bus.attach import attach
from .bus.kinds import bus_kind
from .config import Config
from .control.block import ControlBlock
from .core import Core
from .isa import Unit

__all__ = ["Systolith"]


class Systolith(wiring.Component):
    """The core behind standard buses; wiring only.

    ::

        host   ──► register side of the bus ──► ControlBlock ──► start, halt, reset ──► Core
        irq    ◄──────────────────────────────────┘                                       │
        memory ◄──────────── memory side of the bus (fetch, load, store) ◄────────────────┘

    Parameters
    ----------
    config : Config
        The one description.
    target : str
        "generic", "ecp5" or "ice40": which vendor cells multipliers and memories may use.
    bus : str
        One of :data:`~systolith_hw.bus.kinds.BUSES`. Programs and drivers are the same on all.

    Members
    -------
    clk, rst : In(1)
        Clock, and a synchronous reset of at least 4 cycles; of at least 16 at power-up where
        registers have no initial values.
    m_axi_*, m_wb_* or {fetch,load,store}_*
        External memory, ``bus.data_bytes`` wide: AXI4 master, with two IDs for reads and one for
        writes, Wishbone master, or :class:`~systolith_hw.bus.native.Native`.
    s_axil_*, s_wb_* or register_*
        :data:`systolith_hw.registers.REGISTERS` and counters: AXI4-Lite slave, Wishbone slave, or
        :class:`~systolith_hw.bus.register_port.RegisterPort`.
    irq : Out(1)
        Level: an enabled interrupt is pending.
    """

    irq: Signal

    def __init__(self, config: Config, target: str = "generic", bus: str = "axi4") -> None:
        self.config = config
        self.target = target
        self.kind = bus_kind(bus)
        super().__init__({**self.kind.ports(config), "irq": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        config, kind = self.config, self.kind
        m.submodules.slave = slave = kind.registers()
        m.submodules.control = control = ControlBlock(config)
        core = Core(config, self.target)
        memory = kind.memory(config)
        m.domains.core = ClockDomain(reset_less=True, local=True)
        m.d.comb += ClockSignal("core").eq(ClockSignal())
        in_core = DomainRenamer("core")
        reset = self._reset(m, control.soft_reset, core.in_reset)
        m.submodules.core = in_core(core)
        m.submodules.memory = in_core(ResetInserter(reset)(memory))

        attach(m, self, kind.register_prefix, slave.bus)
        attach(m, self, kind.memory_prefix, memory.bus)
        connect(m, slave.port, control.port)
        connect(m, control.settings, core.settings)
        connect(m, core.fetch, memory.fetch)
        connect(m, core.load, memory.load)
        connect(m, core.store, memory.store)
        for unit in Unit:
            name = f"fault_{unit.name.lower()}"
            connect(m, getattr(core, name), getattr(control, name))
        m.d.comb += [
            core.reset.eq(reset),
            control.resetting.eq(reset | core.in_reset),
            core.start.eq(control.start),
            core.halt.eq(control.halt),
            core.inspect.eq(control.inspect),
            core.program_write.eq(control.program_write),
            control.done.eq(core.done),
            control.semaphore_misuse.eq(core.semaphore_misuse),
            control.semaphore_unit.eq(core.semaphore_unit),
            control.events.eq(core.events),
            control.bus_idle.eq(memory.idle),
            self.irq.eq(control.irq),
        ]
        return m

    def _reset(self, m: Module, soft_reset: Value, in_reset: Value) -> Signal:
        """Return the reset of all but the control registers, as a register.

        It resets the buses at once, and goes through the core from one unit to the next. It lasts
        until the last of them is in reset, so that there is a time in which all of them are.
        """
        reset = Signal(init=1)
        m.d.sync += reset.eq(soft_reset | (reset & ~in_reset))  # the domain's own reset sets it
        return reset
