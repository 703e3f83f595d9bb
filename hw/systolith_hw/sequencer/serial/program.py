"""The microprogram: how instructions are fetched, patched, issued and executed."""

from ...isa import ErrorCode
from .calc import CALC
from .loops import LOOP, TRIP
from .microcode import Action, Carry, Condition, Data, Mode, Offset, Operand, Source, Step, Word
from .steps import (
    COUNT,
    HERE,
    PC,
    REGISTER_HIGH,
    REGISTER_LOW,
    act,
    add,
    frame,
    minus_one,
    read,
    slot,
    subtract,
    take,
    write,
)

__all__ = ["DISPATCH", "PROGRAM"]

DISPATCH = (
    "ILLEGAL", "END", "BARRIER", "LOOP", "CALC", "ILLEGAL", "ILLEGAL", "ILLEGAL",
    "ILLEGAL", "UNIT", "UNIT", "UNIT", "UNIT", "ILLEGAL", "ILLEGAL", "ILLEGAL",
)  # fmt: skip
"""Where to go by opcode: first 0x00 to 0x07, then 0x00 to 0x70 in steps of 0x10."""

LAST_PATCHES = 3
"""The header's slot with the last two patches; the one before has the others."""

QUIET_CYCLES = 4
"""Cycles in a row in which all units must be idle: an instruction may be in the registers between
queue and unit, where neither sees it."""

REST = [
    # Reset and halt end here, at address zero; what is read can be seen from outside.
    read(PC),
    # Be at the first instruction, so that fetching a program anew stays there, too.
    Step(label="CLEAR", load=True, action=Action.LEVEL_CLEAR),
    # Clear the runtime registers, from the last to the first.
    minus_one(HERE, action=Action.INDEX),
    write(COUNT, label="CLEAR_ONE"),
    read(COUNT),
    act(Action.REGISTER),
    write(REGISTER_LOW, Data.ZERO, load=True, source=Source.KEPT, operand=Operand.ONES),
    write(REGISTER_HIGH, Data.ZERO, when=Condition.NO_REGISTER, to="CLEARED", go="CLEAR_ONE"),
    # Register 2 is POSITION, which comes first; register 1 is LENGTH.
    Step(label="CLEARED", load=True, carry=Carry.ONE),
    Step(load=True, source=Source.KEPT, carry=Carry.ONE),
    write(COUNT),
    read(COUNT),
    act(Action.REGISTER, load=True, carry=Carry.ONE),
    write(COUNT),
    read(PC, "IDLE", when=Condition.PENDING, to="BEGIN", go="IDLE"),
    act(Action.BEGIN, COUNT, label="BEGIN"),
    write(REGISTER_LOW, Data.SETTING, label="POSITION",
           when=Condition.POSITION, to="POSITION_HIGH", go="POSITION"),
    write(REGISTER_HIGH, Data.SETTING, label="POSITION_HIGH", action=Action.REGISTER),
    write(REGISTER_LOW, Data.SETTING),
    write(REGISTER_HIGH, Data.SETTING, action=Action.SLOT_CLEAR),
    write(PC, Data.ZERO, go="WAIT"),
]  # fmt: skip
"""From reset to the first instruction."""

FETCH = [
    Step(label="WAIT", when=Condition.FETCHED, to="COPY", go="MISSING"),
    Step(label="MISSING", when=Condition.FAILED, to="BUS_READ", go="WAIT"),
    Step(label="COPY", load=True, source=Source.PROGRAM),
    write(HERE, action=Action.SLOT_NEXT),
    Step(when=Condition.FIRST_SLOT, to="PATCHES", go="COPY"),
]
"""Copy an instruction to where it can be patched."""


def _patch(pick: Action, label: str, after: str) -> list[Step]:
    """Apply one patch: add a register to a slot, and with an even one to the next slot too."""
    return [
        act(pick, label=label),
        read(HERE, when=Condition.FIRST_SLOT, to=after),
        take(REGISTER_LOW, when=Condition.HEADER_SLOT, to="ILLEGAL"),
        add(),
        write(HERE, action=Action.SLOT_NEXT, when=Condition.ODD_SLOT, to=after),
        read(HERE),
        take(REGISTER_HIGH, carry=Carry.KEPT),
        add(),
        write(HERE),
    ]


PATCH = [
    read(slot(LAST_PATCHES - 1), "PATCHES"),
    *_patch(Action.PATCH_LOW, "PATCH", "PATCHED_LOW"),
    read(slot(LAST_PATCHES - 1), "PATCHED_LOW"),
    *_patch(Action.PATCH_HIGH, "", "PATCHED_HIGH"),
    # The other two are moved here, if there are any.
    read(slot(LAST_PATCHES), "PATCHED_HIGH"),
    take(),
    write(slot(LAST_PATCHES - 1), when=Condition.ZERO, to="DECODE"),
    write(slot(LAST_PATCHES), Data.ZERO, go="PATCHES"),
    # Units see the program address in their place.
    read(PC, "DECODE"),
    take(),
    write(slot(LAST_PATCHES - 1), action=Action.SLOT_CLEAR),
    read(HERE),
    act(Action.DISPATCH),
]
"""Apply the patches, and look at the opcode."""


def _hand_over(label: str, after: str) -> list[Step]:
    """Offer the slot in work until it is taken."""
    offer = f"{label}_OFFER"
    return [
        read(HERE, label),
        act(Action.OFFER, label=offer, when=Condition.ACCEPTED, to=after, go=offer),
    ]


ISSUE = [
    # Slot 2 comes first. When the unit takes it, its program address is kept for errors.
    act(Action.SLOT_NEXT, label="UNIT"),
    act(Action.SLOT_NEXT),
    *_hand_over("FIRST", "TAKEN"),
    write((Mode.SLOT, Offset.UNIT_PC), label="TAKEN"),
    read(HERE, "ISSUE", when=Condition.FIRST_SLOT, to="SLOT_0"),
    take((Mode.SLOT, Offset.LIMIT)),
    subtract(),
    act(Action.OFFER, label="OFFER", when=Condition.ACCEPTED, to="ISSUE", go="OFFER"),
    # Slots 0 and 1 come last: the semaphores that the unit has posted to must stay for a while.
    *_hand_over("SLOT_0", "SLOT_1"),
    *_hand_over("SLOT_1", "NEXT"),
]
"""Hand the slots of an instruction to a unit; the carry says "in limits"."""

NEXT = [
    read(frame(Word.END), "NEXT", when=Condition.OUTERMOST, to="FOLLOW"),
    take(PC),
    subtract(),
    Step(when=Condition.ZERO, to="TRIP"),
    read(PC, "FOLLOW"),
    take(carry=Carry.ONE, action=Action.SLOT_CLEAR, label="STEP"),
    write(PC, action=Action.INDEX, go="WAIT"),
]
"""Go on behind an instruction."""

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
        read(PC, label),
        act(Action.FAIL, PC, label=f"{label}_STAYS", source=source, operand=operand,
             go=f"{label}_STAYS"),
    ]  # fmt: skip


END = [
    *_quiet("END", "STOP"),
    *_quiet("BARRIER", "NEXT"),
    act(Action.DONE, label="STOP", go="CLEAR"),
    *_fail("ILLEGAL", ErrorCode.ILLEGAL_INSTRUCTION),
    *_fail("BUS_READ", ErrorCode.BUS_READ),
    *_fail("NO_LOOP", ErrorCode.LOOP),
]
"""END, BARRIER, and errors."""

PROGRAM = [*REST, *FETCH, *PATCH, *ISSUE, *NEXT, *TRIP, *LOOP, *CALC, *END]
"""All steps; the first one is where a reset leads to."""


