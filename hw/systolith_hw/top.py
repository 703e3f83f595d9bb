"""The deliverable: the core with an AXI4 master, an AXI4-Lite slave and an interrupt."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect

from .bus.axi import attach, axi4_ports, axi_lite_ports
from .bus.axi_lite import AxiLiteSlave
from .bus.axi_reader import AxiReader
from .bus.axi_writer import AxiWriter
from .config import Config
from .control.block import ControlBlock
from .core import Core
from .isa import Unit

__all__ = ["Systolith"]


class Systolith(wiring.Component):
    """The core behind standard buses; wiring only.

    ::

        s_axil ──► AxiLiteSlave ──► ControlBlock ──► start, halt, reset ──► Core
        irq    ◄──────────────────────┘                                       │
        m_axi  ◄──────────── AxiReader (fetch, load), AxiWriter (store) ◄─────┘

    Parameters
    ----------
    config : Config
        The one description.
    target : str
        "generic", "ecp5" or "ice40": which vendor cells multipliers and memories may use.

    Members
    -------
    clk, rst : In(1)
        Clock, and a synchronous reset of at least 4 cycles; of at least 16 at power-up where
        registers have no initial values.
    m_axi_* : AXI4 master
        External memory; ``bus.data_bytes`` wide, two IDs for reads, one for writes.
    s_axil_* : AXI4-Lite slave
        :data:`systolith_hw.registers.REGISTERS` and counters.
    irq : Out(1)
        Level: an enabled interrupt is pending.
    """

    irq: Signal

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        super().__init__({**axi4_ports(config), **axi_lite_ports(), "irq": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.slave = slave = AxiLiteSlave()
        m.submodules.control = control = ControlBlock(config)
        core = Core(config, self.target)
        reader, writer = AxiReader(config), AxiWriter(config)
        m.domains.core = ClockDomain(reset_less=True, local=True)
        m.d.comb += ClockSignal("core").eq(ClockSignal())
        in_core = DomainRenamer("core")
        reset = self._reset(m, control.soft_reset, core.in_reset)
        m.submodules.core = in_core(core)
        m.submodules.reader = in_core(ResetInserter(reset)(reader))
        m.submodules.writer = in_core(ResetInserter(reset)(writer))

        attach(m, self, "s_axil_", slave.axi)
        attach(m, self, "m_axi_", reader.axi)
        attach(m, self, "m_axi_", writer.axi)
        connect(m, slave.port, control.port)
        connect(m, control.settings, core.settings)
        connect(m, core.fetch, reader.client_0)
        connect(m, core.load, reader.client_1)
        connect(m, core.store, writer.client)
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
            control.bus_idle.eq(reader.idle & writer.idle),
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
