"""The registers of the issue state machine, and the operations that its states are made of."""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import enum
from amaranth.utils import exact_log2

from ..config import Config
from ..interfaces import PC_BITS
from ..isa import REGISTERS, ErrorCode, Register
from .datapath import Datapath, Operand, Outside, Source
from .patches import PatchPicker
from .reader import ProgramReader
from .registers import Frame, RegisterMemory
from .states import States

__all__ = ["Count", "Micro", "Read", "Write"]


class Read(enum.Enum, shape=3):
    """Where to read in the register memory: the register named by a field, or the frame."""

    FRAME = 0
    COUNT_FIELD = 1  # the count register of LOOP
    A = 2  # field `a` of CALC and READ, kept from word 1
    COUNT = 3
    TARGET = 4
    PATCH = 5
    B = 6  # field `b` of CALC, likewise


class Write(enum.Enum, shape=2):
    """Where to write in the register memory."""

    FRAME = 0
    TARGET = 1
    COUNT = 2


class Count(enum.Enum, shape=3):
    """What ``count`` becomes."""

    HOLD = 0
    DOWN = 1
    UPPER = 2  # bits 20:16 of ``high``: CALC's right shift, LOOP's first value
    LOWER = 3  # bits 4:0 of ``high``: CALC's left shift
    REGISTERS = 4  # the last register
    POSITION = 5  # the register before which LENGTH comes


class Micro:
    """The registers of the issue state machine, and the operations that its states are made of.

    Operations of one cycle happen together: each sees what the cycle before has left. What is
    read in one cycle can be added in the next; the sum is there two cycles after that, since the
    adder's inputs are chosen a cycle ahead. A state only sets a few bits here; what they do to
    the registers stands once, in :meth:`elaborate`.

    Parameters
    ----------
    m : Module
        Where statements go.
    states : States
        The state machine.
    config : Config
        Uses ``sequencer.loop_depth`` and ``memory.program_instructions``.

    Attributes
    ----------
    pc : Signal(16)
        The instruction under work; its successor once its last word has been asked for.
    end : Signal
        The last instruction of the innermost loop's body: so many bits of it that of two ends, at
        most a window apart, one tells which comes first.
    level : Signal
        Loops that are open.
    target : Signal(4)
        The register that LOOP, CALC or READ writes; CREDIT's semaphore.
    a, b : Signal(4)
        The registers that CALC adds.
    count : Signal(5)
        A register's number, or shifts to do.
    more : Signal
        The loop has another trip.
    """

    def __init__(self, m: Module, states: States, config: Config) -> None:
        self.m = m
        self.states = states
        self.datapath = Datapath()
        self.memory = RegisterMemory(config)
        self.picker = PatchPicker()
        self.reader = ProgramReader()
        # The program address outlives a halt: it is what the error register shows.
        self.pc = Signal(PC_BITS, reset_less=True)
        window_bits = exact_log2(config.memory.program_instructions)
        self.end = Signal(window_bits + 2, reset_less=True)
        self.level = Signal(range(config.sequencer.loop_depth + 1))
        self.target = Signal(4, reset_less=True)
        self.a = Signal(4, reset_less=True)
        self.b = Signal(4, reset_less=True)
        self.count = Signal(5, reset_less=True)
        self.more = Signal(reset_less=True)
        self.error = Signal(ErrorCode, reset_less=True)

        self._takes: list[Value] = []
        self._takes_patched: list[Value] = []
        self._read = Signal(Read)
        self._read_frame = Signal(Frame)
        self._write = Signal(Write)
        self._write_frame = Signal(Frame)
        self._count = Signal(Count)
        self._source = Signal(Source)
        self._add_high = Signal()
        self._add_low = Signal()
        self._bring = Signal()
        self.pc_clear = Signal()
        self.pc_step = Signal()
        self.pc_jump = Signal()
        self.level_up = Signal()
        self.level_down = Signal()
        self.level_clear = Signal()
        self.end_load = Signal()
        self.more_load = Signal()
        self.keep_high = Signal()
        self.fields = Signal()
        self.target_frame = Signal()

    @property
    def low(self) -> Value:
        """The low half of the word under work."""
        return self.datapath.low

    @property
    def high(self) -> Value:
        """The high half of the word under work, and what is written to memory."""
        return self.datapath.high

    def elaborate(self) -> None:
        """Make the operations work."""
        m, value = self.m, self.memory.read_data
        m.submodules.datapath = self.datapath
        m.submodules.memory = self.memory
        m.submodules.picker = self.picker
        m.submodules.reader = self.reader

        with m.If(self.pc_step):
            m.d.sync += self.pc.eq(self.pc + 1)
        with m.If(self.pc_jump):
            m.d.sync += self.pc.eq(value)
        with m.If(self.pc_clear):
            m.d.sync += self.pc.eq(0)
        with m.If(self.level_up | self.level_down):
            m.d.sync += self.level.eq(self.level + Mux(self.level_up, 1, -1))
        with m.If(self.level_clear):
            m.d.sync += self.level.eq(0)
        with m.If(self.end_load):
            m.d.sync += self.end.eq(value)
        with m.If(self.more_load):
            m.d.sync += self.more.eq(self.datapath.carry)
        with m.If(self.fields | self.target_frame):
            m.d.sync += self.target.eq(Mux(self.fields, self.low[:4], value[PC_BITS:]))
        with m.If(self.fields):
            m.d.sync += [self.a.eq(self.low[16:20]), self.b.eq(self.high[:4])]
        with m.Switch(self._count):
            with m.Case(Count.DOWN):
                m.d.sync += self.count.eq(self.count - 1)
            with m.Case(Count.UPPER):
                m.d.sync += self.count.eq(self.high[16:21])
            with m.Case(Count.LOWER):
                m.d.sync += self.count.eq(self.high[:5])
            with m.Case(Count.REGISTERS):
                m.d.sync += self.count.eq(REGISTERS - 1)
            with m.Case(Count.POSITION):
                m.d.sync += self.count.eq(Register.POSITION)

        # What is known last comes last: the datapath's next word waits for this.
        patched = self.reader.held & self.picker.patched
        m.d.comb += self.reader.take.eq(
            (patched & Cat(self._takes_patched).any()) | Cat(self._takes).any()
        )
        self._connect_adder()
        self._connect_memory()

    def _connect_adder(self) -> None:
        """Add for a state, one cycle after it asked, or for a patch, at once."""
        m, datapath, picker = self.m, self.datapath, self.picker
        source = Signal(Source)
        high_sum = Signal()
        low_sum = Signal()
        m.d.sync += [high_sum.eq(self._add_high), low_sum.eq(self._add_low)]
        with m.If(picker.to_operand):
            m.d.sync += source.eq(Mux(picker.to_high, Source.HIGH, Source.LOW))
        with m.Elif(~picker.hold):
            m.d.sync += source.eq(self._source)
        m.d.comb += [
            datapath.source.eq(source),
            datapath.high_sum.eq(
                (high_sum & ~self.keep_high) | self._bring | (picker.apply & picker.high)
            ),
            datapath.low_sum.eq(low_sum | (picker.apply & ~picker.high)),
            datapath.hold.eq(picker.hold),
        ]
        with m.If(picker.to_operand):
            m.d.comb += datapath.operand.eq(Mux(picker.upper, Operand.UPPER, Operand.VALUE))

    def _connect_memory(self) -> None:
        """Choose addresses."""
        m, memory = self.m, self.memory
        with m.If(self.picker.enable):
            m.d.comb += [self._read.eq(Read.PATCH), memory.read_enable.eq(self.picker.read)]
        numbers = {
            Read.COUNT_FIELD: self.low[16:20], Read.A: self.a, Read.B: self.b,
            Read.COUNT: self.count[:4], Read.TARGET: self.target,
            Read.PATCH: self.picker.register,
        }  # fmt: skip
        m.d.comb += memory.read_address.eq(memory.frame(self._read_frame, self.level))
        with m.Switch(self._read):
            for name, number in numbers.items():
                with m.Case(name):
                    m.d.comb += memory.read_address.eq(number)
        m.d.comb += [
            memory.write_address.eq(memory.frame(self._write_frame, self.level)),
            memory.write_data.eq(self.high),
        ]
        with m.If(self._write == Write.TARGET):
            m.d.comb += memory.write_address.eq(self.target)
        with m.If(self._write == Write.COUNT):
            m.d.comb += memory.write_address.eq(self.count[:4])
        with m.If(self._write_frame == Frame.END):
            m.d.comb += memory.write_data[PC_BITS : PC_BITS + 4].eq(self.target)

    # -- operations --------------------------------------------------------------------------

    def _choose(self, signal: ValueLike, value: enum.Enum) -> None:
        """Set the ones of ``value``: states exclude each other, but synthesis can't know that."""
        for bit, one in zip(Value.cast(signal), f"{value.value:b}"[::-1], strict=False):
            if one == "1":
                self.m.d.comb += bit.eq(1)

    def ready(self, index: int) -> Value:
        """Return whether word ``index`` is under work, with its patches."""
        reader = self.reader
        return reader.held & (reader.index == index) & self.picker.patched

    def read(self, what: Read, when: ValueLike = 1) -> None:
        """Read the register that a field names; the address does not wait for ``when``."""
        self._choose(self._read, what)
        self.m.d.comb += self.memory.read_enable.eq(when)

    def read_frame(self, field: Frame, when: ValueLike = 1) -> None:
        """Read a word of the innermost loop's frame."""
        self.read(Read.FRAME, when)
        self._choose(self._read_frame, field)

    def write_target(self, enable: Value | None = None) -> None:
        """Write ``high`` to register ``target``; register 0 stays zero."""
        self._choose(self._write, Write.TARGET)
        allowed = self.target != 0 if enable is None else (self.target != 0) & enable
        self.m.d.comb += self.memory.write_enable.eq(allowed)

    def write_counted(self) -> None:
        """Write ``high`` to register ``count``, and count down."""
        self._choose(self._write, Write.COUNT)
        self.do(self.memory.write_enable)
        self.set_count(Count.DOWN)

    def write_frame(self, field: Frame) -> None:
        """Write ``high`` to a word of the innermost loop's frame; END takes ``target`` along."""
        self._choose(self._write_frame, field)
        self.do(self.memory.write_enable)

    def set_count(self, operation: Count) -> None:
        """Change ``count``."""
        self._choose(self._count, operation)

    def add(self, operand: Operand, source: Source) -> None:
        """Put ``source`` plus ``operand`` into ``high``, in the next cycle.

        The operand is taken now, the source then.
        """
        self._choose(self.datapath.operand, operand)
        self._choose(self._source, source)
        self.do(self._add_high)

    def add_low(self, operand: Operand, source: Source = Source.LOW) -> None:
        """Put ``source`` plus ``operand`` into ``low``, in the next cycle."""
        self._choose(self.datapath.operand, operand)
        self._choose(self._source, source)
        self.do(self._add_low)

    def compare_low(self, operand: Operand) -> None:
        """Make the carry "``operand`` is more than ``low``", in the next cycle."""
        self._choose(self.datapath.operand, operand)
        self._choose(self._source, Source.NOT_LOW)

    def bring_pc(self) -> None:
        """Put the program address into ``high``; nothing may be being added."""
        self._choose(self.datapath.outside, Outside.PC)
        self.do(self._bring)

    def bring_word(self) -> None:
        """Put the word that READ has read into ``high``; nothing may be being added."""
        self._choose(self.datapath.outside, Outside.READ)
        self.do(self._bring)

    def bring_setting(self, high: Value) -> None:
        """Put a setting's half into that of ``high``; nothing may be being added."""
        self._choose(self.datapath.outside, Outside.SETTING)
        self.m.d.comb += [
            self.datapath.setting_low.eq(~high), self.datapath.setting_high.eq(high)
        ]  # fmt: skip

    def trim(self) -> None:
        """Keep only the low 16 bits of ``high``."""
        self.m.d.comb += self.datapath.high_trim.eq(1)

    def do(self, operation: Signal) -> None:
        """Do one of the operations that have a signal of their own."""
        self.m.d.comb += operation.eq(1)

    def take(self, when: ValueLike = 1) -> None:
        """Be done with the word under work in this state."""
        self._takes.append(self.states.now & when)

    def take_patched(self, when: ValueLike) -> None:
        """Be done with it as soon as it is there with its patches."""
        self._takes_patched.append(self.states.now & when)

    def flush(self) -> None:
        """Be done with the instruction."""
        self.do(self.reader.flush)

    def patch(self) -> None:
        """Let the words of an instruction that stays here be patched, each when it is there."""
        here = self.reader.held & (self.picker.word == self.reader.index)
        self.m.d.comb += self.picker.enable.eq(here)

    def fail(self, code: ErrorCode) -> None:
        """Stop with an error."""
        self.m.d.sync += self.error.eq(code)
        self.states.go("FAULT")
