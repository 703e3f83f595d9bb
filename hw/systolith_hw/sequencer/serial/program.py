"""The microprogram: how instructions are fetched, patched, issued and executed."""

from typing import Any

from ...isa import ErrorCode
from .microcode import (
    Action,
    Carry,
    Condition,
    Data,
    Mode,
    Offset,
    Operand,
    Scalar,
    Source,
    Step,
    Word,
)

__all__ = ["DISPATCH", "PROGRAM"]

DISPATCH = (
    "ILLEGAL", "END", "BARRIER", "LOOP", "CALC", "ILLEGAL", "ILLEGAL", "ILLEGAL",
    "ILLEGAL", "UNIT", "UNIT", "UNIT", "UNIT", "ILLEGAL", "ILLEGAL", "ILLEGAL",
)  # fmt: skip
"""Where to go by opcode: first 0x00 to 0x07, then 0x00 to 0x70 in steps of 0x10."""

Place = tuple[Mode, int]

HERE = Mode.SLOT, Offset.SLOT
REGISTER_LOW = Mode.REGISTER, 0
REGISTER_HIGH = Mode.REGISTER, 1

LAST_PATCHES = 3
"""The header's slot with the last two patches; the one before has the others."""

QUIET_CYCLES = 4
"""Cycles in a row in which all units must be idle: an instruction may be in the registers between
queue and unit, where neither sees it."""


def _scalar(name: Scalar) -> Place:
    return Mode.SCALAR, name


def _slot(number: int) -> Place:
    return Mode.SCALAR, Scalar.SLOTS + number


def _frame(word: Word) -> Place:
    return Mode.FRAME, word


def _read(place: Place, label: str = "", **rest: Any) -> Step:
    """Read a word, for the next step."""
    return Step(label=label, mode=place[0], offset=place[1], **rest)


def _write(place: Place, data: Data = Data.KEPT, **rest: Any) -> Step:
    """Write the accumulator."""
    return Step(mode=place[0], offset=place[1], write=data, **rest)


def _take(then: Place = HERE, **rest: Any) -> Step:
    """Accumulator := what was read (plus a carry); read another word."""
    return _read(then, load=True, operand=Operand.READ, **rest)


def _add(then: Place = HERE, **rest: Any) -> Step:
    """Accumulator += what was read."""
    return _take(then, source=Source.KEPT, **rest)


def _subtract(**rest: Any) -> Step:
    """Accumulator := what was read - accumulator; the carry says that this is not negative."""
    return _take(source=Source.MINUS, carry=Carry.ONE, **rest)


def _minus_one(then: Place, **rest: Any) -> Step:
    """Accumulator := -1."""
    return _read(then, load=True, operand=Operand.ONES, **rest)


def _act(action: Action, then: Place = HERE, **rest: Any) -> Step:
    """Do something else, and read a word."""
    return _read(then, action=action, **rest)


def _copy(source: Place, target: Place) -> list[Step]:
    return [_read(source), _take(), _write(target)]


def _add_pairs(low: tuple[Place, Place, Place], high: tuple[Place, Place, Place]) -> list[Step]:
    """Add 32-bit numbers: of both halves, the first and the second place go to the third."""
    return [
        _read(low[0]),
        _take(low[1]),
        _add(),
        _write(low[2]),
        _read(high[0]),
        _take(high[1], carry=Carry.KEPT),
        _add(),
        _write(high[2]),
    ]


LOW, HIGH, COUNT = (_scalar(name) for name in (Scalar.LOW, Scalar.HIGH, Scalar.COUNT))
PC = _scalar(Scalar.PC)
REMAINING_LOW, REMAINING_HIGH = _frame(Word.REMAINING_LOW), _frame(Word.REMAINING_HIGH)
STEP_LOW, STEP_HIGH = _frame(Word.STEP_LOW), _frame(Word.STEP_HIGH)

REST = [
    # Reset and halt end here, at address zero; what is read can be seen from outside.
    _read(PC),
    # Be at the first instruction, so that fetching a program anew stays there, too.
    Step(label="CLEAR", load=True, action=Action.LEVEL_CLEAR),
    # Clear the runtime registers, from the last to the first.
    _minus_one(HERE, action=Action.INDEX),
    _write(COUNT, label="CLEAR_ONE"),
    _read(COUNT),
    _act(Action.REGISTER),
    _write(REGISTER_LOW, Data.ZERO, load=True, source=Source.KEPT, operand=Operand.ONES),
    _write(REGISTER_HIGH, Data.ZERO, when=Condition.NO_REGISTER, to="CLEARED", go="CLEAR_ONE"),
    # Register 2 is POSITION, which comes first; register 1 is LENGTH.
    Step(label="CLEARED", load=True, carry=Carry.ONE),
    Step(load=True, source=Source.KEPT, carry=Carry.ONE),
    _write(COUNT),
    _read(COUNT),
    _act(Action.REGISTER, load=True, carry=Carry.ONE),
    _write(COUNT),
    _read(PC, "IDLE", when=Condition.PENDING, to="BEGIN", go="IDLE"),
    _act(Action.BEGIN, COUNT, label="BEGIN"),
    _write(REGISTER_LOW, Data.SETTING, label="POSITION",
           when=Condition.POSITION, to="POSITION_HIGH", go="POSITION"),
    _write(REGISTER_HIGH, Data.SETTING, label="POSITION_HIGH", action=Action.REGISTER),
    _write(REGISTER_LOW, Data.SETTING),
    _write(REGISTER_HIGH, Data.SETTING, action=Action.SLOT_CLEAR),
    _write(PC, Data.ZERO, go="WAIT"),
]  # fmt: skip
"""From reset to the first instruction."""

FETCH = [
    Step(label="WAIT", when=Condition.FETCHED, to="COPY", go="MISSING"),
    Step(label="MISSING", when=Condition.FAILED, to="BUS_READ", go="WAIT"),
    Step(label="COPY", load=True, source=Source.PROGRAM),
    _write(HERE, action=Action.SLOT_NEXT),
    Step(when=Condition.FIRST_SLOT, to="PATCHES", go="COPY"),
]
"""Copy an instruction to where it can be patched."""


def _patch(pick: Action, label: str, after: str) -> list[Step]:
    """Apply one patch: add a register to a slot, and with an even one to the next slot too."""
    return [
        _act(pick, label=label),
        _read(HERE, when=Condition.FIRST_SLOT, to=after),
        _take(REGISTER_LOW, when=Condition.HEADER_SLOT, to="ILLEGAL"),
        _add(),
        _write(HERE, action=Action.SLOT_NEXT, when=Condition.ODD_SLOT, to=after),
        _read(HERE),
        _take(REGISTER_HIGH, carry=Carry.KEPT),
        _add(),
        _write(HERE),
    ]


PATCH = [
    _read(_slot(LAST_PATCHES - 1), "PATCHES"),
    *_patch(Action.PATCH_LOW, "PATCH", "PATCHED_LOW"),
    _read(_slot(LAST_PATCHES - 1), "PATCHED_LOW"),
    *_patch(Action.PATCH_HIGH, "", "PATCHED_HIGH"),
    # The other two are moved here, if there are any.
    _read(_slot(LAST_PATCHES), "PATCHED_HIGH"),
    _take(),
    _write(_slot(LAST_PATCHES - 1), when=Condition.ZERO, to="DECODE"),
    _write(_slot(LAST_PATCHES), Data.ZERO, go="PATCHES"),
    # Units see the program address in their place.
    _read(PC, "DECODE"),
    _take(),
    _write(_slot(LAST_PATCHES - 1), action=Action.SLOT_CLEAR),
    _read(HERE),
    _act(Action.DISPATCH),
]
"""Apply the patches, and look at the opcode."""


def _hand_over(label: str, after: str) -> list[Step]:
    """Offer the slot in work until it is taken."""
    offer = f"{label}_OFFER"
    return [
        _read(HERE, label),
        _act(Action.OFFER, label=offer, when=Condition.ACCEPTED, to=after, go=offer),
    ]


ISSUE = [
    # Slot 2 comes first. When the unit takes it, its program address is kept for errors.
    _act(Action.SLOT_NEXT, label="UNIT"),
    _act(Action.SLOT_NEXT),
    *_hand_over("FIRST", "TAKEN"),
    _write((Mode.SLOT, Offset.UNIT_PC), label="TAKEN"),
    _read(HERE, "ISSUE", when=Condition.FIRST_SLOT, to="SLOT_0"),
    _take((Mode.SLOT, Offset.LIMIT)),
    _subtract(),
    _act(Action.OFFER, label="OFFER", when=Condition.ACCEPTED, to="ISSUE", go="OFFER"),
    # Slots 0 and 1 come last: the semaphores that the unit has posted to must stay for a while.
    *_hand_over("SLOT_0", "SLOT_1"),
    *_hand_over("SLOT_1", "NEXT"),
]
"""Hand the slots of an instruction to a unit; the carry says "in limits"."""

NEXT = [
    _read(_frame(Word.END), "NEXT", when=Condition.OUTERMOST, to="FOLLOW"),
    _take(PC),
    _subtract(),
    Step(when=Condition.ZERO, to="TRIP"),
    _read(PC, "FOLLOW"),
    _take(carry=Carry.ONE, action=Action.SLOT_CLEAR, label="STEP"),
    _write(PC, action=Action.INDEX, go="WAIT"),
]
"""Go on behind an instruction."""

TRIP = [
    _minus_one(REMAINING_LOW, label="TRIP"),
    _add(),
    _write(REMAINING_LOW, when=Condition.CARRY, to="NO_BORROW"),
    _minus_one(REMAINING_HIGH),
    _add(),
    _write(REMAINING_HIGH, go="AGAIN"),
    _read(REMAINING_HIGH, "NO_BORROW", when=Condition.ZERO, to="LAST_TRIP", go="AGAIN"),
    _take(label="LAST_TRIP"),
    Step(when=Condition.ZERO, to="LEAVE"),
    # Another trip: the counter grows.
    _read(_frame(Word.COUNTER), "AGAIN"),
    _act(Action.REGISTER),
    Step(when=Condition.NO_REGISTER, to="BACK"),
    *_add_pairs(
        (REGISTER_LOW, STEP_LOW, REGISTER_LOW), (REGISTER_HIGH, STEP_HIGH, REGISTER_HIGH)
    ),
    _read(_frame(Word.START), "BACK", go="STEP"),
    _act(Action.LEVEL_DOWN, label="LEAVE", go="NEXT"),
]
"""At the end of a loop's body, go back to its start or leave the loop."""

LOOP = [
    # The body has an instruction, and fits the program memory and the loop around it.
    _minus_one(_slot(10), label="LOOP", when=Condition.DEEPEST, to="NO_LOOP"),
    _add(_scalar(Scalar.LONGEST_BODY)),
    _subtract(),
    _read(PC, when=Condition.CARRY, to="LOOP_END", go="NO_LOOP"),
    _take(_slot(10), label="LOOP_END"),
    _add(),
    _write(_scalar(Scalar.END), when=Condition.OUTERMOST, to="LOOP_COUNT"),
    _read(_frame(Word.END)),
    _subtract(),
    Step(when=Condition.CARRY, to="LOOP_COUNT", go="NO_LOOP"),
    # The number of trips.
    _act(Action.LEVEL_UP, _slot(5), label="LOOP_COUNT"),
    _act(Action.REGISTER, _slot(6)),
    _take(REGISTER_LOW),
    _add(),
    _write(REMAINING_LOW),
    _read(REGISTER_HIGH),
    _take(carry=Carry.KEPT),
    _write(REMAINING_HIGH, when=Condition.ZERO, to="LOOP_SHORT", go="LOOP_FRAME"),
    _read(REMAINING_LOW, "LOOP_SHORT"),
    _take(),
    Step(when=Condition.ZERO, to="LOOP_SKIP"),
    # The frame, and the counter's first value.
    _read(PC, "LOOP_FRAME"),
    _take(),
    _write(_frame(Word.START)),
    *_copy(_scalar(Scalar.END), _frame(Word.END)),
    *_copy(_slot(8), STEP_LOW),
    *_copy(_slot(9), STEP_HIGH),
    *_copy(_slot(4), _frame(Word.COUNTER)),
    _read(_slot(7)),
    _act(Action.REGISTER),
    *_copy(REGISTER_LOW, LOW),
    _read(REGISTER_HIGH),
    _take(_slot(4)),
    _act(Action.REGISTER),
    Step(when=Condition.NO_REGISTER, to="LOOP_ENTER"),
    _write(REGISTER_HIGH),
    *_copy(LOW, REGISTER_LOW),
    # The body of the outermost loop stays in the program memory from its first instruction on.
    _act(Action.LEVEL_DOWN, PC, label="LOOP_ENTER"),
    _take(carry=Carry.ONE, action=Action.SLOT_CLEAR),
    _write(PC, action=Action.INDEX),
    _act(Action.LEVEL_UP, go="WAIT"),
    _read(_scalar(Scalar.END), "LOOP_SKIP"),
    _take(action=Action.LEVEL_DOWN),
    _write(PC, go="NEXT"),
]
"""LOOP."""

CALC = [
    _read(_slot(5), "CALC"),
    _act(Action.REGISTER),
    *_add_pairs((_slot(8), REGISTER_LOW, LOW), (_slot(9), REGISTER_HIGH, HIGH)),
    _read(_slot(6)),
    _act(Action.REGISTER),
    *_add_pairs((LOW, REGISTER_LOW, LOW), (HIGH, REGISTER_HIGH, HIGH)),
    _read(_slot(7)),
    _take(label="RIGHT"),
    Step(load=True, source=Source.KEPT, operand=Operand.ONES,
         when=Condition.SHIFTED, to="CALC_LEFT"),
    _write(COUNT),
    _read(HIGH),
    Step(load=True, operand=Operand.HALF),
    _write(HIGH),
    _read(LOW),
    Step(load=True, operand=Operand.HALF, carry=Carry.KEPT),
    _write(LOW),
    _read(COUNT, go="RIGHT"),
    _read(_slot(10), "CALC_LEFT"),
    _take(label="LEFT"),
    Step(load=True, source=Source.KEPT, operand=Operand.ONES,
         when=Condition.SHIFTED, to="CALC_STORE"),
    _write(COUNT),
    *_add_pairs((LOW, LOW, LOW), (HIGH, HIGH, HIGH)),
    _read(COUNT, go="LEFT"),
    _read(_slot(4), "CALC_STORE"),
    _act(Action.REGISTER, LOW),
    _take(when=Condition.NO_REGISTER, to="NEXT"),
    _write(REGISTER_LOW),
    *_copy(HIGH, REGISTER_HIGH),
    Step(go="NEXT"),
]  # fmt: skip
"""CALC: a sum, then shifts by one."""


def _quiet(label: str, after: str) -> list[Step]:
    """Wait until all units have been idle for some cycles."""
    names = [f"{label}_{index}" if index else label for index in range(QUIET_CYCLES)]
    return [
        Step(label=name, when=Condition.IDLE, to=following, go=label)
        for name, following in zip(names, [*names[1:], after], strict=True)
    ]


def _fail(label: str, code: ErrorCode) -> list[Step]:
    """Stop with an error, with its program address to be seen."""
    source, operand = Source(code & 3), Operand(code >> 2)
    return [
        _read(PC, label),
        _act(Action.FAIL, PC, label=f"{label}_STAYS", source=source, operand=operand,
             go=f"{label}_STAYS"),
    ]  # fmt: skip


END = [
    *_quiet("END", "STOP"),
    *_quiet("BARRIER", "NEXT"),
    _act(Action.DONE, label="STOP", go="CLEAR"),
    *_fail("ILLEGAL", ErrorCode.ILLEGAL_INSTRUCTION),
    *_fail("BUS_READ", ErrorCode.BUS_READ),
    *_fail("NO_LOOP", ErrorCode.LOOP),
]
"""END, BARRIER, and errors."""

PROGRAM = [*REST, *FETCH, *PATCH, *ISSUE, *NEXT, *TRIP, *LOOP, *CALC, *END]
"""All steps; the first one is where a reset leads to."""


