"""What executes the compact endpoint's program."""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import connect, flipped

from systolith_hw.config import Config

from ..ports import endpoint_ports
from .accesses import Accesses
from .check import Check
from .instructions import PROGRAM_WORDS, Condition, Function, Kind, Source, Target
from .work_memory import WorkMemory

__all__ = ["LinkMachine"]


class LinkMachine(wiring.Component):
    """An accumulator, a pointer, and a memory of bytes.

    An instruction takes 3 cycles: it is read, what it reads is read, and it is executed; longer
    while it waits for the line, memory or a register.

    Parameters
    ----------
    config : Config
        Uses ``bus``; a beat has 2 bytes.
    program : sequence of int
        Words of :class:`~.instructions.Program`.
    contents : sequence of int
        What memory begins with.

    Members
    -------
    i, o : In, Out(stream of 8 bits)
        From and to the line; ``i`` is always ready.
    load : Out(ReadPort(config)), store : Out(WritePort(config)), registers : Out(RegisterPort())
    irq : In(1)
        A condition of jumps.
    """

    i: Any
    o: Any
    load: Any
    store: Any
    registers: Any
    irq: Signal

    def __init__(self, config: Config, program: Sequence[int], contents: Sequence[int]) -> None:
        self.program = program
        self.accesses, self.check = Accesses(config), Check()
        self.memory = WorkMemory(contents)
        self.instruction, self.kept = Signal(16), Signal(8)
        self.zero, self.carry = Signal(), Signal()
        self.offers, self.executes = Signal(), Signal()
        super().__init__(endpoint_ports(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        for name in ("accesses", "check", "memory"):
            m.submodules[name] = getattr(self, name)
        for name in ("load", "store", "registers"):
            connect(m, getattr(self.accesses, name), flipped(getattr(self, name)))
        connect(m, flipped(self.i), self.memory.i)
        self._sequence(m)
        self._compute(m)
        self._move(m)
        return m

    def _is(self, kind: Kind) -> Value:
        return self.instruction[14:] == kind

    def _sequence(self, m: Module) -> None:
        """Read instructions, and say when one is executed."""
        held: Any
        instruction, place, phase = self.instruction, Signal(range(PROGRAM_WORDS)), Signal(2)
        m.submodules.program = held = memory.Memory(
            shape=16, depth=PROGRAM_WORDS, init=self.program, attrs={"ram_style": "block"}
        )
        read = held.read_port()
        conditions = {
            Condition.ALWAYS: C(1, 1), Condition.ZERO: self.zero, Condition.CARRY: self.carry,
            Condition.EMPTY: self.memory.empty, Condition.INTERRUPT: self.irq,
            Condition.FAILED: self.accesses.failed, Condition.UNKNOWN: self.registers.error,
            Condition.RIGHT: self.check.right,
        }  # fmt: skip
        inputs = Cat(conditions[which] for which in Condition)
        holds = inputs.bit_select(instruction[9:12], 1) == instruction[13]
        waits = (self.o.valid & ~self.o.ready) | (self.memory.write & ~self.memory.written)
        m.d.comb += [
            read.addr.eq(place), instruction.eq(read.data),
            self.offers.eq(phase[1] & ~self.accesses.busy), self.executes.eq(self.offers & ~waits),
        ]  # fmt: skip
        # It is read, what it needs is, and then it stays until it is executed.
        m.d.sync += phase.eq(Mux(phase[1], Cat(C(0, 1), ~self.executes), Cat(~phase[0], phase[0])))
        with m.If(self.executes):
            m.d.sync += place.eq(place + 1)
            with m.If(self._is(Kind.JUMP) & holds):
                m.d.sync += place.eq(instruction[:9])

    def _compute(self, m: Module) -> None:
        """Compute with the accumulator."""
        instruction, kept, check = self.instruction, self.kept, self.check
        source, function = instruction[11:14], instruction[8:10]
        operand, total, subtracts = Signal(8), Signal(9), Signal()
        read = Mux(source == Source.WORD, self.accesses.word, self.memory.data)
        chosen = Mux(source == Source.NUMBER, instruction[:8], read)
        first = Mux(function == Function.LOAD, 0, kept)
        carry = Mux(function == Function.BORROW, self.carry, subtracts)
        m.d.comb += [
            subtracts.eq(function[1]), operand.eq(chosen ^ subtracts.replicate(8)),
            total.eq(first + operand + carry),
            check.step.eq(self.executes & self._is(Kind.CHECK) & ~instruction[9]),
            check.restart.eq(self.executes & self._is(Kind.CHECK) & instruction[9]),
            check.give.eq(instruction[8]), check.i.eq(kept[0]),
        ]  # fmt: skip
        with m.If(self.executes & self._is(Kind.COMPUTE)):
            m.d.sync += self.zero.eq(total[:8] == 0)
            with m.If(function != Function.LOAD):
                m.d.sync += self.carry.eq(total[8])
            with m.If(instruction[10]):
                m.d.sync += kept.eq(total)
        with m.If(check.step):
            m.d.sync += kept.eq(Cat(kept[1:], Mux(check.give, check.o, kept[0])))

    def _move(self, m: Module) -> None:
        """Give the accumulator away, and say what an operand is read from."""
        instruction, accesses, held = self.instruction, self.accesses, self.memory
        place, pointer = instruction[11:14], Signal(8)
        moves, reads = self._is(Kind.MOVE), self._is(Kind.COMPUTE)
        goes = {target: self.executes & moves & (place == target) for target in Target}
        offers = self.offers & moves
        m.d.comb += [
            accesses.value.eq(self.kept), held.value.eq(self.kept), self.o.payload.eq(self.kept),
            accesses.low.eq(goes[Target.LOW]), accesses.high.eq(goes[Target.HIGH]),
            accesses.push.eq(goes[Target.WORD]),
            accesses.pull.eq(self.executes & reads & (place == Source.WORD)),
            accesses.start.eq(instruction[:4] & goes[Target.START].replicate(4)),
            self.o.valid.eq(offers & (place == Target.LINE)),
            held.write.eq(offers & ((place == Target.MEMORY) | (place == Target.NEXT))),
            # Sources and targets of these names have the same numbers.
            held.address.eq(Mux(place == Source.NEXT, pointer, instruction[:8])),
            held.ring.eq(place == Source.RING),
            held.pop.eq(self.executes & reads & (place == Source.RING) & instruction[0]),
        ]  # fmt: skip
        with m.If(goes[Target.POINTER]):
            m.d.sync += pointer.eq(self.kept)
        with m.Elif(self.executes & (moves | reads) & (place == Source.NEXT)):
            m.d.sync += pointer.eq(pointer + 1)
