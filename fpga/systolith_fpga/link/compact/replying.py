"""How the compact endpoint's program sends a reply."""

from systolith_hw.link_protocol import (
    CRC_BYTES,
    END,
    ESCAPE,
    ESCAPED_END,
    ESCAPED_ESCAPE,
    HEADER,
    STATUS_SHIFT,
)

from .instructions import Condition, Function, Program, Source, Target
from .layout import LENGTH, LONGEST, OPERATION

__all__ = ["reply"]

ZERO, CARRY = Condition.ZERO, Condition.CARRY


def reply(p: Program) -> None:
    """Send the header, ``length`` bytes from ``source`` on, and their check."""
    check = LONGEST - CRC_BYTES
    p.label("reply")
    p.load(OPERATION, Source.MEMORY)
    p.label("no operation")
    p.compute(Function.SUBTRACT, 1 << STATUS_SHIFT)
    p.jump("no operation", CARRY)
    p.compute(Function.ADD, 1 << STATUS_SHIFT)
    p.compute(Function.ADD, "status")
    p.store(OPERATION)
    p.load("length")
    p.store(LENGTH)
    p.load(0)
    p.store(LENGTH + 1, "closing")
    p.move(Target.POINTER)
    p.begin_check()
    p.load(END)
    p.move(Target.LINE)
    p.load(HEADER.size)
    p.label("send")
    p.store("left")
    p.load(0, Source.NEXT)
    p.check()
    p.compare(END)
    p.jump("escape end", ZERO)
    p.compare(ESCAPE)
    p.jump("say", ZERO, unless=True)
    p.move(Target.LINE)
    p.load(ESCAPED_ESCAPE)
    p.jump("say")
    p.label("escape end")
    p.load(ESCAPE)
    p.move(Target.LINE)
    p.load(ESCAPED_END)
    p.label("say")
    p.move(Target.LINE)
    p.load("left")
    p.compute(Function.SUBTRACT, 1)
    p.jump("send", ZERO, unless=True)
    p.load("source")
    p.move(Target.POINTER)
    p.load("length")
    p.store("left")
    p.load(0)
    p.store("length")
    p.load("left")
    p.jump("send", ZERO, unless=True)
    p.load("closing")
    p.jump("closed", ZERO, unless=True)
    p.load(check)
    p.store("closing")
    p.move(Target.POINTER)
    for _ in range(CRC_BYTES):
        p.take_check()
        p.move(Target.NEXT)
    p.load(check)
    p.move(Target.POINTER)
    p.load(CRC_BYTES)
    p.jump("send")
    p.label("closed")
    p.load(END)
    p.move(Target.LINE)
    p.jump("restart")
