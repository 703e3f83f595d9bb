"""Control and status registers, and what they control."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.register_port import RegisterPort
from ..config import Config
from ..interfaces import PC_BITS, Fault
from ..isa import ISA_VERSION, Unit
from ..registers import COUNTER_BASE, COUNTERS, IDENTITY, REGISTERS, Control, Interrupt, Status
from .counters import CounterBank, event_layout
from .errors import ErrorLatch
from .lifecycle import Lifecycle
from .watchdog import Watchdog

__all__ = ["ControlBlock"]

OFFSETS = {register.name: register.offset for register in REGISTERS}


class ControlBlock(wiring.Component):
    """Control and status registers, and what they control.

    ::

        port ──► registers ──┬─► lifecycle ──► start, halt, soft_reset, load program
                  ▲   ▲   ▲  ├─► watchdog ──┐
                  │   │   │  └─► length, position, program address
                  │   │   └───── error latch ◄──┴── faults, semaphores
                  │   └───────── counters    ◄───── events
                  └───────────── interrupt   ◄───── done, error

    :mod:`systolith_hw.registers` has the map; ``docs/registers.md`` says how it behaves.

    =========== ==========================================================
    Latency     ``start`` 1 cycle after the write; a register is read in
                1 cycle, a counter in at most 6 + ``len(COUNTERS)``
    Timing      counters take ``events`` one cycle late, as the core
                registers them: CYCLES counts from the cycle of ``start``
                to that of ``done``, both included
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        For the identity, the width of addresses and of ``events``.

    Members
    -------
    port : In(RegisterPort)
        From the host's bus adapter.
    start, program_address, program_write, length, position : Out
        To the core; see :class:`~systolith_hw.core.Core`.
    halt : Out(1)
        To all units.
    soft_reset : Out(1)
        Reset everything but this block, the host's adapter and memories.
    fault_sequencer ... fault_store : In(Fault), one for each :class:`~systolith_hw.isa.Unit`
    semaphore_misuse : In(1), semaphore_unit : In(range(5))
        A semaphore was misused, and by which unit.
    pc : In(16)
        The instruction that the sequencer is at.
    done : In(1)
        END has completed, for one cycle.
    bus_idle : In(1)
        No burst is asked for or under way.
    activity : In(1)
        Something moved in this cycle; restarts the watchdog.
    events : In(event_layout)
        What the counters count, one cycle late.
    irq : Out(1)
        An enabled interrupt is pending; a level.
    """

    port: Any
    start: Signal
    program_address: Signal
    program_write: Signal
    length: Signal
    position: Signal
    halt: Signal
    soft_reset: Signal
    fault_sequencer: Any
    fault_array: Any
    fault_vector: Any
    fault_load: Any
    fault_store: Any
    semaphore_misuse: Signal
    semaphore_unit: Signal
    pc: Signal
    done: Signal
    bus_idle: Signal
    activity: Signal
    events: data.View
    irq: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "port": In(RegisterPort()),
            "start": Out(1),
            "program_address": Out(config.bus.address_bits),
            "program_write": Out(1),
            "length": Out(32),
            "position": Out(32),
            "halt": Out(1),
            "soft_reset": Out(1),
            **{f"fault_{unit.name.lower()}": In(Fault()) for unit in Unit},
            "semaphore_misuse": In(1),
            "semaphore_unit": In(range(len(Unit))),
            "pc": In(PC_BITS),
            "done": In(1),
            "bus_idle": In(1),
            "activity": In(1),
            "events": In(event_layout(config)),
            "irq": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.lifecycle = lifecycle = Lifecycle()
        m.submodules.watchdog = watchdog = Watchdog()
        m.submodules.errors = errors = ErrorLatch()
        m.submodules.counters = counters = CounterBank(self.config)

        limit = Signal(32)
        enable = Signal(len(Interrupt))
        pending = Signal(len(Interrupt))
        writes = self._writable(m, {
            "PROGRAM": self.program_address, "IRQ_ENABLE": enable, "WATCHDOG": limit,
            "LENGTH": self.length, "POSITION": self.position,
        })  # fmt: skip
        self._connect_lifecycle(m, lifecycle, errors, writes)
        self._connect_errors(m, lifecycle, errors, watchdog)
        self._interrupt(m, pending, enable, lifecycle.finished, errors.caught)
        m.d.comb += [
            watchdog.run.eq(lifecycle.running),
            watchdog.activity.eq(self.activity),
            watchdog.limit.eq(limit),
            counters.events.eq(self.events),
            counters.clear.eq(lifecycle.start | lifecycle.soft_reset),
        ]
        m.d.sync += [
            watchdog.restart.eq(writes["WATCHDOG"]),
            counters.enable.eq(lifecycle.running),
        ]

        status = Signal(len(Status))
        m.d.comb += status.eq(Cat(lifecycle.busy, lifecycle.ended, errors.error, lifecycle.aborted))
        self._read(m, counters, {
            "ID": Const(IDENTITY, 32),
            "VERSION": Const(ISA_VERSION, 32),
            "CONFIG_HASH": Const(self.config.hash, 32),
            "STATUS": status,
            "PROGRAM": self.program_address,
            "IRQ_ENABLE": enable,
            "IRQ_PENDING": pending,
            "ERROR": Mux(errors.error, Cat(errors.code, errors.unit), 0),
            "ERROR_PC": Mux(errors.error, errors.error_pc, 0),
            "WATCHDOG": limit,
            "LENGTH": self.length,
            "POSITION": self.position,
        })  # fmt: skip
        return m

    def _writable(self, m: Module, registers: dict[str, Signal]) -> dict[str, Signal]:
        """Make the rw registers; return a strobe for each write of one of them."""
        writes = {}
        for name, register in registers.items():
            writes[name] = write = Signal(name=f"write_{name.lower()}")
            m.d.comb += write.eq(self.port.write & (self.port.address == OFFSETS[name]))
            with m.If(write):
                m.d.sync += register.eq(self.port.write_data)
        return writes

    def _connect_lifecycle(self, m: Module, lifecycle, errors, writes) -> None:
        command = Signal(len(Control))
        with m.If(self.port.write & (self.port.address == OFFSETS["CONTROL"])):
            m.d.comb += command.eq(self.port.write_data)
        m.d.comb += [
            Cat(lifecycle.start_write, lifecycle.abort_write, lifecycle.reset_write).eq(command),
            lifecycle.program_write.eq(writes["PROGRAM"]),
            lifecycle.done.eq(self.done),
            lifecycle.caught.eq(errors.caught),
            lifecycle.bus_idle.eq(self.bus_idle),
            self.start.eq(lifecycle.start),
            self.program_write.eq(lifecycle.load_program),
            self.halt.eq(lifecycle.halt),
            self.soft_reset.eq(lifecycle.soft_reset),
        ]

    def _connect_errors(self, m: Module, lifecycle, errors, watchdog) -> None:
        for unit in Unit:
            name = f"fault_{unit.name.lower()}"
            connect(m, flipped(getattr(self, name)), getattr(errors, name))
        m.d.comb += [
            errors.semaphore_misuse.eq(self.semaphore_misuse),
            errors.semaphore_unit.eq(self.semaphore_unit),
            errors.watchdog.eq(watchdog.fire & lifecycle.running),
            errors.pc.eq(self.pc),
            errors.listen.eq(~lifecycle.halt),
            errors.clear.eq(lifecycle.soft_reset),
        ]

    def _interrupt(self, m: Module, pending, enable, done, error) -> None:
        """Set a pending bit on its event, clear it when a one is written; the event wins."""
        acknowledge = Signal.like(pending)
        error_later = Signal()  # when the error registers show it
        with m.If(self.port.write & (self.port.address == OFFSETS["IRQ_PENDING"])):
            m.d.comb += acknowledge.eq(self.port.write_data)
        m.d.sync += [
            error_later.eq(error),
            pending.eq((pending & ~acknowledge) | Cat(done, error_later)),
            self.irq.eq((pending & enable).any()),
        ]
        with m.If(self.soft_reset):
            m.d.sync += pending.eq(0)

    def _read(self, m: Module, counters: CounterBank, values: dict[str, Value]) -> None:
        """Answer reads: registers at once, counters when the scan comes by."""
        port = self.port
        word = port.address[2:]
        base = COUNTER_BASE // 4
        is_register = Signal()
        is_counter = Signal()
        value: Value = Const(0, 32)
        for register in REGISTERS:
            chosen = Signal(name=f"read_{register.name.lower()}")
            m.d.comb += chosen.eq(word == register.offset // 4)
            if register.name in values:
                read = Value.cast(values[register.name])
                # Gates and a wide OR are smaller than a multiplexer by number.
                value = value | (read & chosen.replicate(len(read)))
        with m.Switch(word):
            with m.Case(*(register.offset // 4 for register in REGISTERS)):
                m.d.comb += is_register.eq(1)
            with m.Case(*range(base, base + len(COUNTERS))):
                m.d.comb += is_counter.eq(1)
        m.d.comb += [
            port.error.eq(port.address[:2].any() | ~(is_register | is_counter)),
            counters.read.eq(port.read & is_counter & ~port.error),
            counters.index.eq((word - base)[: len(counters.index)]),
        ]

        m.d.sync += port.valid.eq(counters.valid | (port.read & ~counters.read))
        with m.If(counters.valid):
            m.d.sync += port.read_data.eq(counters.value)
        with m.Elif(port.read):
            m.d.sync += port.read_data.eq(Mux(port.error, 0, value))
