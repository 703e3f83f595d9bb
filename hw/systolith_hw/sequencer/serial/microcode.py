"""What a microinstruction can do, and how a microprogram becomes the words of a ROM."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "DISPATCH_BITS",
    "LAYOUT",
    "Action",
    "Carry",
    "Condition",
    "Data",
    "Mode",
    "Offset",
    "Operand",
    "Scalar",
    "Source",
    "Step",
    "Word",
    "assemble",
]

ADDRESS_BITS = 8
DISPATCH_BITS = 4

LAYOUT = {
    "next": ADDRESS_BITS, "condition": 4, "source": 2, "operand": 2, "carry": 2, "load": 1,
    "mode": 2, "offset": 5, "write": 2, "action": 4,
}  # fmt: skip
"""Fields of a microinstruction and their widths, from bit 0 on."""


class Condition(enum.IntEnum):
    """What makes the next address odd. The first six are waited for: busy is zero until then."""

    PENDING = 0  # START has come
    POSITION = 1  # the low half of POSITION is told in this cycle
    FETCHED = 2  # the instruction is in the program memory
    FAILED = 3  # it will never be
    IDLE = 4  # all units are idle
    ACCEPTED = 5  # the queue takes the slot on offer
    DEEPEST = 6  # no further loop may be opened
    SHIFTED = 7  # bits 4:0 of the accumulator are zero
    NEVER = 8
    ZERO = 9  # the accumulator is zero
    CARRY = 10
    FIRST_SLOT = 11
    HEADER_SLOT = 12  # slots 0 to 3
    ODD_SLOT = 13
    NO_REGISTER = 14  # register number zero
    OUTERMOST = 15  # no loop is open


class Source(enum.IntEnum):
    """The adder's first operand."""

    ZERO = 0
    KEPT = 1  # the accumulator
    PROGRAM = 2  # what was read in the program memory
    MINUS = 3  # the accumulator, inverted


class Operand(enum.IntEnum):
    """The adder's second operand."""

    ZERO = 0
    READ = 1  # what was read in the register memory
    HALF = 2  # the same, shifted right by one; the bit that falls out becomes the carry
    ONES = 3  # minus one


class Carry(enum.IntEnum):
    """What is added besides; with ``HALF`` it is shifted in."""

    ZERO = 0
    ONE = 1
    KEPT = 2


class Mode(enum.IntEnum):
    """Which part of the register memory is addressed."""

    SCALAR = 0
    FRAME = 1  # of the innermost loop
    REGISTER = 2  # the half ``offset`` of the runtime register in work
    SLOT = 3  # of the slot and the unit in work, an :class:`Offset`


class Offset(enum.IntEnum):
    """What is addressed in mode SLOT."""

    SLOT = 0
    LIMIT = 1
    UNIT_PC = 2


class Data(enum.IntEnum):
    """What is written to the register memory."""

    NONE = 0
    KEPT = 1  # the accumulator
    SETTING = 2
    ZERO = 3


class Action(enum.IntEnum):
    """What else happens."""

    NONE = 0
    SLOT_CLEAR = 1
    SLOT_NEXT = 2
    PATCH_LOW = 3  # slot and register from the low byte that was read
    PATCH_HIGH = 4
    REGISTER = 5  # register from the four low bits that were read
    LEVEL_UP = 6
    LEVEL_DOWN = 7
    LEVEL_CLEAR = 8
    INDEX = 9  # the accumulator becomes the place in the program memory
    OFFER = 10  # what was read, to the queue; the next slot when it is taken
    DONE = 11
    FAIL = 12  # with the code in ``source`` and ``operand``
    DISPATCH = 13  # the next address depends on the opcode that was read
    BEGIN = 14  # START has been seen


class Scalar(enum.IntEnum):
    """Words of the register memory that stand alone."""

    PC = 0
    UNITS_PC = 0  # plus the unit: the instruction that it works on
    END = 5
    LOW = 6
    HIGH = 7
    COUNT = 8
    LONGEST_BODY = 9  # less one; never written
    SLOTS = 16  # the sixteen slots of the instruction under work


class Word(enum.IntEnum):
    """Words of a loop's frame."""

    START = 0
    REMAINING_LOW = 1  # trips, this one included
    REMAINING_HIGH = 2
    STEP_LOW = 3
    STEP_HIGH = 4
    END = 5
    COUNTER = 6


@dataclass(frozen=True, kw_only=True)
class Step:
    """One microinstruction.

    All of it happens in one cycle and sees what the cycle before has left. What it reads in the
    register memory can be used in the next; the slot in work, of the program memory, is there two
    cycles after it was chosen.

    Attributes
    ----------
    label : str
        Its name, if it is jumped to.
    go : str
        What follows; without it, the step below.
    when, to : Condition, str
        What follows in its place when the condition is true.
    source, operand, carry, load
        The sum, and whether it goes to the accumulator and its carry to the carry.
    mode, offset, write
        The address that is read, or written to.
    action : Action
        What else happens.
    """

    label: str = ""
    go: str = ""
    when: Condition = Condition.NEVER
    to: str = ""
    source: Source = Source.ZERO
    operand: Operand = Operand.ZERO
    carry: Carry = Carry.ZERO
    load: bool = False
    mode: Mode = Mode.SCALAR
    offset: int = 0
    write: Data = Data.NONE
    action: Action = Action.NONE


def assemble(steps: Sequence[Step], dispatch: Sequence[str]) -> list[int]:
    """Return the words of the ROM.

    The lowest bit of an address is the condition's, so that both ways out of a branch stand side
    by side, as copies if more than one branch leads there. ``dispatch`` names the steps of the
    table that stands at the multiple of its size given by ``next``.

    Raises
    ------
    ValueError
        If the ROM is too small.
    """
    places = _Places(steps, dispatch)
    rom = [0] * places.size
    for address, number in places.steps.items():
        rom[address] = _encode(steps[number], places.following(number))
    return rom


class _Places:
    """Where each step stands."""

    def __init__(self, steps: Sequence[Step], dispatch: Sequence[str]) -> None:
        self.program = steps
        self.labels = {step.label: number for number, step in enumerate(steps) if step.label}
        self.steps = {0: 0}
        self.homes = {0: 0}
        self.pairs: dict[tuple[int, int], int] = {}
        self.table = 1 << DISPATCH_BITS
        for offset, label in enumerate(dispatch):
            self._put(self.labels[label], self.table + offset)
        branches = [number for number, step in enumerate(steps) if step.to]
        for number in branches:
            pair = self._after(number), self.labels[steps[number].to]
            if pair not in self.pairs:
                self.pairs[pair] = even = self._free(2)
                self._put(pair[0], even)
                self._put(pair[1], even + 1)
        for number, step in enumerate(steps):
            if number not in self.homes:
                self._put(number, self._free(1))
            if not step.to and step.action != Action.DISPATCH:
                assert self._after(number) < len(steps)
        self.size = 1 << ADDRESS_BITS
        if max(self.steps) >= self.size:
            raise ValueError(f"{len(self.steps)} microinstructions are too many for {self.size}")

    def following(self, number: int) -> int:
        """Return the field ``next`` of a step."""
        step = self.program[number]
        if step.action == Action.DISPATCH:
            return self.table
        if step.to:
            return self.pairs[self._after(number), self.labels[step.to]]
        return self.homes[self._after(number)]

    def _after(self, number: int) -> int:
        go = self.program[number].go
        return self.labels[go] if go else number + 1

    def _free(self, size: int) -> int:
        address = size
        while any(address + index in self.steps for index in range(size)):
            address += size
        return address

    def _put(self, number: int, address: int) -> None:
        self.steps[address] = number
        self.homes.setdefault(number, address)


def _encode(step: Step, following: int) -> int:
    """Return the word of a step."""
    values = {
        "next": following, "condition": step.when, "source": step.source,
        "operand": step.operand, "carry": step.carry, "load": step.load, "mode": step.mode,
        "offset": step.offset, "write": step.write, "action": step.action,
    }  # fmt: skip
    word = position = 0
    for name, width in LAYOUT.items():
        value = int(values[name])
        assert 0 <= value < 1 << width, (name, value)
        word |= value << position
        position += width
    return word
