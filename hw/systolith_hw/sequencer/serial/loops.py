"""LOOP, and what happens at the end of a loop's body."""

from .microcode import Action, Carry, Condition, Scalar, Step, Word
from .steps import (
    LOW,
    PC,
    REGISTER_HIGH,
    REGISTER_LOW,
    act,
    add,
    add_pairs,
    copy,
    frame,
    minus_one,
    read,
    scalar,
    slot,
    subtract,
    take,
    write,
)

__all__ = ["LOOP", "TRIP"]

REMAINING_LOW, REMAINING_HIGH = frame(Word.REMAINING_LOW), frame(Word.REMAINING_HIGH)
STEP_LOW, STEP_HIGH = frame(Word.STEP_LOW), frame(Word.STEP_HIGH)

TRIP = [
    minus_one(REMAINING_LOW, label="TRIP"),
    add(),
    write(REMAINING_LOW, when=Condition.CARRY, to="NO_BORROW"),
    minus_one(REMAINING_HIGH),
    add(),
    write(REMAINING_HIGH, go="AGAIN"),
    read(REMAINING_HIGH, "NO_BORROW", when=Condition.ZERO, to="LAST_TRIP", go="AGAIN"),
    take(label="LAST_TRIP"),
    Step(when=Condition.ZERO, to="LEAVE"),
    # Another trip: the counter grows.
    read(frame(Word.COUNTER), "AGAIN"),
    act(Action.REGISTER),
    Step(when=Condition.NO_REGISTER, to="BACK"),
    *add_pairs(
        (REGISTER_LOW, STEP_LOW, REGISTER_LOW), (REGISTER_HIGH, STEP_HIGH, REGISTER_HIGH)
    ),
    read(frame(Word.START), "BACK", go="STEP"),
    act(Action.LEVEL_DOWN, label="LEAVE", go="NEXT"),
]
"""At the end of a loop's body, go back to its start or leave the loop."""

LOOP = [
    # The body has an instruction, and fits the program memory and the loop around it.
    minus_one(slot(10), label="LOOP", when=Condition.DEEPEST, to="NO_LOOP"),
    add(scalar(Scalar.LONGEST_BODY)),
    subtract(),
    read(PC, when=Condition.CARRY, to="LOOP_END", go="NO_LOOP"),
    take(slot(10), label="LOOP_END"),
    add(),
    write(scalar(Scalar.END), when=Condition.OUTERMOST, to="LOOP_COUNT"),
    read(frame(Word.END)),
    subtract(),
    Step(when=Condition.CARRY, to="LOOP_COUNT", go="NO_LOOP"),
    # The number of trips.
    act(Action.LEVEL_UP, slot(5), label="LOOP_COUNT"),
    act(Action.REGISTER, slot(6)),
    take(REGISTER_LOW),
    add(),
    write(REMAINING_LOW),
    read(REGISTER_HIGH),
    take(carry=Carry.KEPT),
    write(REMAINING_HIGH, when=Condition.ZERO, to="LOOP_SHORT", go="LOOP_FRAME"),
    read(REMAINING_LOW, "LOOP_SHORT"),
    take(),
    Step(when=Condition.ZERO, to="LOOP_SKIP"),
    # The frame, and the counter's first value.
    read(PC, "LOOP_FRAME"),
    take(),
    write(frame(Word.START)),
    *copy(scalar(Scalar.END), frame(Word.END)),
    *copy(slot(8), STEP_LOW),
    *copy(slot(9), STEP_HIGH),
    *copy(slot(4), frame(Word.COUNTER)),
    read(slot(7)),
    act(Action.REGISTER),
    *copy(REGISTER_LOW, LOW),
    read(REGISTER_HIGH),
    take(slot(4)),
    act(Action.REGISTER),
    Step(when=Condition.NO_REGISTER, to="LOOP_ENTER"),
    write(REGISTER_HIGH),
    *copy(LOW, REGISTER_LOW),
    # The body of the outermost loop stays in the program memory from its first instruction on.
    act(Action.LEVEL_DOWN, PC, label="LOOP_ENTER"),
    take(carry=Carry.ONE, action=Action.SLOT_CLEAR),
    write(PC, action=Action.INDEX),
    act(Action.LEVEL_UP, go="WAIT"),
    read(scalar(Scalar.END), "LOOP_SKIP"),
    take(action=Action.LEVEL_DOWN),
    write(PC, go="NEXT"),
]
"""LOOP."""
