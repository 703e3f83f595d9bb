"""CALC."""

from .microcode import Action, Carry, Condition, Operand, Source, Step
from .steps import (
    COUNT,
    HIGH,
    LOW,
    REGISTER_HIGH,
    REGISTER_LOW,
    act,
    add_pairs,
    copy,
    read,
    slot,
    take,
    write,
)

__all__ = ["CALC"]

CALC = [
    # Its operation is the lowest bit of slot 11: there is no MINIMUM here.
    read(slot(11), "CALC"),
    read(slot(5), load=True, operand=Operand.HALF),
    act(Action.REGISTER, when=Condition.CARRY, to="ILLEGAL"),
    *add_pairs((slot(8), REGISTER_LOW, LOW), (slot(9), REGISTER_HIGH, HIGH)),
    read(slot(6)),
    act(Action.REGISTER),
    *add_pairs((LOW, REGISTER_LOW, LOW), (HIGH, REGISTER_HIGH, HIGH)),
    read(slot(7)),
    take(label="RIGHT"),
    Step(load=True, source=Source.KEPT, operand=Operand.ONES,
         when=Condition.SHIFTED, to="CALC_LEFT"),
    write(COUNT),
    read(HIGH),
    Step(load=True, operand=Operand.HALF),
    write(HIGH),
    read(LOW),
    Step(load=True, operand=Operand.HALF, carry=Carry.KEPT),
    write(LOW),
    read(COUNT, go="RIGHT"),
    read(slot(10), "CALC_LEFT"),
    take(label="LEFT"),
    Step(load=True, source=Source.KEPT, operand=Operand.ONES,
         when=Condition.SHIFTED, to="CALC_STORE"),
    write(COUNT),
    *add_pairs((LOW, LOW, LOW), (HIGH, HIGH, HIGH)),
    read(COUNT, go="LEFT"),
    read(slot(4), "CALC_STORE"),
    act(Action.REGISTER, LOW),
    take(when=Condition.NO_REGISTER, to="NEXT"),
    write(REGISTER_LOW),
    *copy(HIGH, REGISTER_HIGH),
    Step(go="NEXT"),
]  # fmt: skip
"""CALC: a sum, then shifts by one."""
