"""Executes the program like :class:`~systolith_hw.sequencer.issue.Issue`, slot by slot."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ...config import Config
from ...control.settings import Settings
from ...interfaces import PC_BITS, issue_word
from ...isa import SLOT_BITS, Unit
from ..fetch import FetchShape
from .accumulator import Accumulator
from .microcode import Action, Condition, Data
from .place import Place
from .registers import SerialRegisters
from .store import ControlStore

__all__ = ["SerialIssue"]

UNITS = tuple(unit for unit in Unit if unit != Unit.SEQUENCER)


class SerialIssue(wiring.Component):
    """Executes the program like :class:`~systolith_hw.sequencer.issue.Issue`, slot by slot.

    A microprogram (:mod:`~systolith_hw.sequencer.serial.program`) above one adder of 16 bits. ::

        program memory ───┐
                          ▼
        ┌──────────────►[ + ]──►[ accumulator ]──►[ register memory ]──┬──► queues
        │                 ▲           │     settings ──►│              │
        └─────────────────│───────────┘                                │
                          └────────────────────────────────────────────┘

    =========== ==========================================================
    Latency     98 cycles from ``start`` to the first slot of a queue
    Throughput  129 cycles for a unit's instruction, 60 of them to hand it over; 3 to 7
                more for each patch, 18 for a trip of a loop, 113 for LOOP, 98 for
                CALC and 10 or 12 more for each shift, 71 for BARRIER
    Stall       one instruction waits for its queue, and all behind it
    Golden      :func:`systolith_sim.sequencer.expand`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``memory.program_instructions`` and ``sequencer.loop_depth``.

    Members
    -------
    inspect : In(3)
        In a reset: whose program address ``pc`` tells, a :class:`~systolith_hw.isa.Unit`.
    pc : Out(16)
        The instruction under work, from the second cycle of a reset or after ``fault_valid`` on.

    The others are those of :class:`~systolith_hw.sequencer.issue.Issue`.
    """

    start: Signal
    settings: Any
    fetched: Signal
    failed: Signal
    oldest: Signal
    starving: Signal
    read_enable: Signal
    read_address: Signal
    read_data: Signal
    units_idle: Signal
    array: Any
    vector: Any
    load: Any
    store: Any
    done: Signal
    fault_valid: Signal
    fault_code: Signal
    inspect: Signal
    pc: Signal
    running: Signal
    busy: Signal
    wait_queue: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        self.shape = FetchShape(config)
        self.window_bits = exact_log2(config.memory.program_instructions)
        slots = stream.Signature(issue_word(config))
        super().__init__({
            "start": In(1),
            "settings": In(Settings()),
            "fetched": In(self.shape.index_bits),
            "failed": In(1),
            "oldest": Out(self.shape.index_bits),
            "starving": Out(1),
            "read_enable": Out(1),
            "read_address": Out(self.window_bits + 4),
            "read_data": In(SLOT_BITS),
            "units_idle": In(1),
            **{unit.name.lower(): Out(slots) for unit in UNITS},
            "done": Out(1),
            "fault_valid": Out(1),
            "fault_code": Out(8),
            "inspect": In(3),
            "pc": Out(PC_BITS),
            "running": Out(1),
            "busy": Out(1),
            "wait_queue": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.control = control = ControlStore()
        m.submodules.registers = registers = SerialRegisters(self.config)
        m.submodules.sum = accumulator = Accumulator()
        m.submodules.place = place = Place(self.config)
        step, read = control.step, registers.read_data

        unit = Signal(3)  # whose instruction is under work
        with m.If(step.action == Action.DISPATCH):
            m.d.sync += unit.eq(read[4:])
        accepted = Signal()
        m.d.comb += [
            accumulator.step.eq(step),
            accumulator.program.eq(self.read_data),
            accumulator.read.eq(read),
            place.step.eq(step),
            place.accepted.eq(accepted),
            place.total.eq(accumulator.total),
            place.read.eq(read),
            control.opcode.eq(read),
            self.read_enable.eq(1),
            self.read_address.eq(Cat(place.slot, place.index)),
            self.oldest.eq(place.oldest),
            self.pc.eq(read),
        ]
        payload: Any = Signal(issue_word(self.config))
        m.d.comb += [
            payload.data.eq(read),
            payload.slot.eq(place.slot),
            payload.beyond.eq(~accumulator.carry),
            accepted.eq(self._offer(m, step.action == Action.OFFER, unit, payload)),
            registers.unit.eq(unit),
        ]
        self._connect_registers(m, step, registers, accumulator, place)
        self._branch(m, control, accumulator, place, accepted)
        self._tell(m, step, control.met)
        return m

    def _connect_registers(self, m: Module, step, registers, accumulator, place) -> None:
        """Choose the word of the register memory, and what is written there."""
        m.d.comb += [
            registers.mode.eq(step.mode),
            registers.offset.eq(step.offset),
            registers.register.eq(place.register),
            registers.level.eq(place.level),
            registers.slot.eq(place.slot),
            registers.inspect.eq(self.inspect),
            registers.write.eq(step.write != Data.NONE),
        ]
        with m.Switch(step.write):
            with m.Case(Data.KEPT):
                m.d.comb += registers.write_data.eq(accumulator.total)
            with m.Case(Data.SETTING):
                m.d.comb += registers.write_data.eq(self.settings.data)

    def _offer(self, m: Module, offer: Value, unit: Value, payload: Any) -> Value:
        """Offer a slot to the queue of the instruction under work; return "it takes it"."""
        accepted: Value = Const(0)
        for number in UNITS:
            queue = getattr(self, number.name.lower())
            m.d.comb += [queue.valid.eq(offer & (unit == number)), queue.payload.eq(payload)]
            accepted = accepted | (queue.ready & (unit == number))
        return accepted

    def _branch(self, m: Module, control, accumulator, place, accepted: Value) -> None:
        """Look whether the step's condition is true."""
        pending = Signal()  # a start that waits for clear registers
        with m.If(control.step.action == Action.BEGIN):
            m.d.sync += pending.eq(0)
        with m.If(self.start):
            m.d.sync += pending.eq(1)
        ahead = Signal(signed(self.shape.index_bits))
        m.d.comb += ahead.eq(self.fetched - place.index)
        conditions = {
            Condition.PENDING: pending,
            Condition.POSITION: self.settings.position & ~self.settings.high,
            Condition.FETCHED: ahead > 0,
            Condition.FAILED: self.failed,
            Condition.IDLE: self.units_idle,
            Condition.ACCEPTED: accepted,
            Condition.DEEPEST: place.level == self.config.sequencer.loop_depth,
            Condition.SHIFTED: accumulator.total[:5] == 0,
            Condition.NEVER: Const(0),
            Condition.ZERO: accumulator.total == 0,
            Condition.CARRY: accumulator.carry,
            Condition.FIRST_SLOT: place.slot == 0,
            Condition.HEADER_SLOT: place.slot[2:] == 0,
            Condition.ODD_SLOT: place.slot[0],
            Condition.NO_REGISTER: place.register == 0,
            Condition.OUTERMOST: place.level == 0,
        }
        states = Cat(conditions[name] for name in Condition)
        m.d.comb += control.met.eq(states.bit_select(control.step.condition, 1))

    def _tell(self, m: Module, step, met: Value) -> None:
        """Tell others what goes on."""
        condition = step.condition
        fetch = (condition == Condition.FETCHED) | (condition == Condition.FAILED)
        with m.If(step.action == Action.BEGIN):
            m.d.sync += self.running.eq(1)
        with m.If(self.done):
            m.d.sync += self.running.eq(0)
        m.d.comb += [
            self.done.eq(step.action == Action.DONE),
            self.fault_valid.eq(step.action == Action.FAIL),
            self.fault_code.eq(Cat(step.source, step.operand)),
            self.starving.eq(fetch & ~met),
            self.wait_queue.eq((condition == Condition.ACCEPTED) & ~met),
            self.busy.eq(self.running & ~self.fault_valid
                         & (met | (condition > Condition.ACCEPTED))),
        ]  # fmt: skip
