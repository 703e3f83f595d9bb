"""Control and status registers, and what they control."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.register_port import RegisterPort
from ..config import Config
from ..interfaces import Fault
from ..isa import ISA_VERSION, Unit
from ..registers import (
    IDENTITY,
    KEPT,
    OFFSETS,
    REGISTERS,
    Control,
    Interrupt,
    Status,
    counter_offsets,
)
from .counters import WORD_BITS, CounterBank
from .errors import ErrorLatch
from .lifecycle import Lifecycle
from .settings import Settings
from .tally import event_layout

__all__ = ["ControlBlock"]

MOVING = ("array_busy", "vector_busy", "load_beats", "store_beats", "fetch_beats", "sequencer_busy")
"""The events that are progress; ``row_busy`` is one, too, where it exists."""


class ControlBlock(wiring.Component):
    """Control and status registers, and what they control.

    ::

        port ──► registers ──┬─► lifecycle ───► start, halt, soft_reset, load program
                  ▲   ▲      ├─► counter bank ► length, position, program address
                  │   │      │      ▲  └─ watchdog ─┐
                  │   │      │    events            ▼
                  │   └──────┴── error latch ◄───── faults, semaphores
                  └───────────── interrupt   ◄───── done, error

    :mod:`systolith_hw.registers` has the map; ``docs/registers.md`` says how it behaves.

    =========== ==========================================================
    Latency     ``start`` 1 cycle after the write, and ``settings`` from the
                next on; an access as long as that of :class:`CounterBank`
    Timing      CYCLES counts from the cycle of ``start`` to that of
                ``done``, both included
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        For the identity, the width of addresses and of ``events``.

    Members
    -------
    port : In(RegisterPort)
        From the host's bus adapter.
    start, program_write : Out(1)
        To the core; see :class:`~systolith_hw.core.Core`.
    settings : Out(Settings)
        What stands in LENGTH, POSITION and PROGRAM.
    halt : Out(1)
        To all units.
    inspect : Out(range(5))
        Whose instruction was at fault; some cores tell only this one.
    soft_reset : Out(1)
        Reset everything but this block, the host's adapter and memories.
    fault_sequencer ... fault_store : In(Fault), one for each :class:`~systolith_hw.isa.Unit`
    semaphore_misuse : In(1), semaphore_unit : In(range(5))
        A semaphore was misused, and by which unit.
    done : In(1)
        END has completed, for one cycle.
    bus_idle : In(1)
        No burst is asked for or under way.
    resetting : In(1)
        A reset is on its way to the units, or some are in it.
    events : In(event_layout)
        What the counters count, and the watchdog waits for.
    irq : Out(1)
        An enabled interrupt is pending; a level.
    """

    port: Any
    start: Signal
    program_write: Signal
    settings: Any
    halt: Signal
    inspect: Signal
    soft_reset: Signal
    fault_sequencer: Any
    fault_array: Any
    fault_vector: Any
    fault_load: Any
    fault_store: Any
    semaphore_misuse: Signal
    semaphore_unit: Signal
    done: Signal
    bus_idle: Signal
    resetting: Signal
    events: data.View
    irq: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "port": In(RegisterPort()),
            "start": Out(1),
            "program_write": Out(1),
            "settings": Out(Settings()),
            "halt": Out(1),
            "inspect": Out(range(len(Unit))),
            "soft_reset": Out(1),
            **{f"fault_{unit.name.lower()}": In(Fault()) for unit in Unit},
            "semaphore_misuse": In(1),
            "semaphore_unit": In(range(len(Unit))),
            "done": In(1),
            "bus_idle": In(1),
            "resetting": In(1),
            "events": In(event_layout(config)),
            "irq": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.lifecycle = lifecycle = Lifecycle()
        m.submodules.errors = errors = ErrorLatch()
        m.submodules.bank = bank = CounterBank(self.config)

        enable = Signal(len(Interrupt))
        pending = Signal(len(Interrupt))
        with m.If(self._written("IRQ_ENABLE")):
            m.d.sync += enable.eq(self.port.write_data)
        self._connect_lifecycle(m, lifecycle, errors)
        self._connect_errors(m, lifecycle, errors, bank.fire)
        self._connect_bank(m, lifecycle, bank)
        self._interrupt(m, pending, enable, lifecycle.finished, errors.caught)

        # Units keep their faults, far from here.
        error, error_pc = Signal(16), Signal.like(errors.pc)
        between = m.d.comb if self.config.short_pipelines else m.d.sync
        between += [error.eq(Cat(errors.code, errors.unit)), error_pc.eq(errors.pc)]

        status = Cat(lifecycle.busy, lifecycle.ended, errors.error, lifecycle.aborted)
        assert len(status) == len(Status)
        with m.Switch(self._word[:4]):  # what has no register is an error, and reads zero
            for name, value in {
                "ID": IDENTITY,
                "VERSION": ISA_VERSION,
                "CONFIG_HASH": self.config.hash,
                "STATUS": status,
                "IRQ_ENABLE": enable,
                "IRQ_PENDING": pending,
                "ERROR": error,
                "ERROR_PC": error_pc,
            }.items():
                with m.Case(OFFSETS[name] // 4):
                    m.d.comb += bank.elsewhere.eq(value)
        return m

    @property
    def _word(self) -> Value:
        """The word that the port accesses, if there is no error."""
        return self.port.address[2 : 2 + WORD_BITS]

    def _written(self, name: str) -> Value:
        """Return whether a register is being written."""
        return self.port.write & (self._word == OFFSETS[name] // 4)

    def _connect_lifecycle(self, m: Module, lifecycle, errors) -> None:
        # PROGRAM is new when it stands in the bank: whoever looked earlier would see the old one.
        programmed = Signal()
        with m.If(self.port.read | self.port.write):
            m.d.sync += programmed.eq(self._written("PROGRAM"))
        command = Signal(len(Control))
        with m.If(self._written("CONTROL")):
            m.d.comb += command.eq(self.port.write_data)
        m.d.comb += [
            Cat(lifecycle.start_write, lifecycle.abort_write, lifecycle.reset_write).eq(command),
            lifecycle.program_write.eq(programmed & self.port.valid),
            lifecycle.done.eq(self.done),
            lifecycle.caught.eq(errors.caught),
            lifecycle.bus_idle.eq(self.bus_idle),
            lifecycle.resetting.eq(self.resetting),
            self.start.eq(lifecycle.start),
            self.program_write.eq(lifecycle.load_program),
            self.halt.eq(lifecycle.halt),
            self.soft_reset.eq(lifecycle.soft_reset),
        ]

    def _connect_errors(self, m: Module, lifecycle, errors, watchdog: Value) -> None:
        for unit in Unit:
            name = f"fault_{unit.name.lower()}"
            connect(m, flipped(getattr(self, name)), getattr(errors, name))
        m.d.comb += [
            errors.semaphore_misuse.eq(self.semaphore_misuse),
            errors.semaphore_unit.eq(self.semaphore_unit),
            errors.watchdog.eq(watchdog & lifecycle.running),
            errors.listen.eq(lifecycle.listen),
            errors.clear.eq(lifecycle.soft_reset),
            self.inspect.eq(errors.inspect),
        ]

    def _connect_bank(self, m: Module, lifecycle, bank: CounterBank) -> None:
        """Let the bank answer the port; it looks up everything that stands in its memory."""
        port = self.port
        error = Signal(init=1)
        counters = counter_offsets(self.config).values()
        stored = [*counters, *(OFFSETS[name] for name in KEPT)]
        others = [register.offset for register in REGISTERS if register.name not in KEPT]
        with m.Switch(self._word):
            with m.Case(*(offset // 4 for offset in stored)):
                m.d.comb += [bank.stored.eq(1), error.eq(0)]
            with m.Case(*(offset // 4 for offset in others)):
                m.d.comb += error.eq(0)
        outside = port.address[:2].any() | port.address[2 + WORD_BITS :].any()
        moving = [self.events[name] for name in MOVING]
        if self.config.vector.rows:
            moving.append(self.events.row_busy)
        m.d.sync += bank.activity.eq(Cat(moving).any())
        m.d.comb += [
            bank.events.eq(self.events),
            bank.enable.eq(lifecycle.running),
            bank.clear.eq(lifecycle.starting | lifecycle.soft_reset),
            port.error.eq(error | outside),
            bank.error.eq(port.error),
            bank.number.eq(self._word),
            bank.read.eq(port.read),
            bank.write.eq(port.write),
            bank.write_data.eq(port.write_data),
            port.valid.eq(bank.valid),
            port.read_data.eq(bank.data),
        ]
        connect(m, bank.settings, flipped(self.settings))

    def _interrupt(self, m: Module, pending, enable, done, error) -> None:
        """Set a pending bit on its event, clear it when a one is written; the event wins."""
        acknowledge = Signal.like(pending)
        with m.If(self._written("IRQ_PENDING")):
            m.d.comb += acknowledge.eq(self.port.write_data)
        m.d.sync += [
            pending.eq((pending & ~acknowledge) | Cat(done, error)),
            self.irq.eq((pending & enable).any()),
        ]
        with m.If(self.soft_reset):
            m.d.sync += pending.eq(0)
