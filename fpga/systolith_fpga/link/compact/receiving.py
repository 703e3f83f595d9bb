"""How the compact endpoint's program takes a frame."""

from systolith_hw.link_protocol import (
    CRC_BYTES,
    END,
    ESCAPE,
    ESCAPED_END,
    ESCAPED_ESCAPE,
    HEADER,
)

from .instructions import Condition, Function, Program, Source, Target
from .layout import LONGEST, increase

__all__ = ["receive"]

ZERO, CARRY = Condition.ZERO, Condition.CARRY


def receive(p: Program) -> None:
    """Take bytes until a frame is right; ``payload`` is how many its payload has."""
    p.label("restart")
    p.begin_check()
    p.load(0)
    p.store("count", "bad", "escaped")
    p.move(Target.POINTER)
    p.label("byte")
    p.jump("byte", Condition.EMPTY)
    p.load(1, Source.RING)
    p.compare(END)
    p.jump("end", ZERO)
    p.store("value")
    p.load("escaped")
    p.jump("plain", ZERO)
    p.load(0)
    p.store("escaped")
    p.load("value")
    p.compare(ESCAPED_END)
    p.jump("escaped end", ZERO)
    p.compare(ESCAPED_ESCAPE)
    p.jump("wrong", ZERO, unless=True)
    p.load(ESCAPE)
    p.jump("keep")
    p.label("wrong")
    p.load(1)
    p.store("bad")
    p.jump("byte")
    p.label("plain")
    p.load("value")
    p.compare(ESCAPE)
    p.jump("keep", ZERO, unless=True)
    p.store("escaped")
    p.jump("byte")
    p.label("escaped end")
    p.load(END)
    p.label("keep")
    p.store("value")
    p.load("count")
    p.compare(LONGEST)
    p.jump("wrong", ZERO)
    p.compute(Function.ADD, 1)
    p.store("count")
    p.load("value")
    p.move(Target.NEXT)
    p.check()
    p.jump("byte")
    p.label("end")
    for flag in ("bad", "escaped"):
        p.load(flag)
        p.jump("drop", ZERO, unless=True)
    p.load("count")
    p.jump("byte", ZERO)
    p.compute(Function.SUBTRACT, HEADER.size + CRC_BYTES)
    p.store("payload")
    p.jump("drop", CARRY, unless=True)
    p.jump("execute", Condition.RIGHT)
    p.label("drop")
    increase(p, "dropped", "dropped high", done="restart")
    p.jump("restart")
