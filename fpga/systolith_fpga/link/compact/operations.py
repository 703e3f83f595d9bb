"""How the compact endpoint's program does what a frame asks for."""

from systolith_hw.link_protocol import (
    END,
    IDENTITY_BYTES,
    REGISTER_BYTES,
    REPLY,
    WAIT_BYTES,
    Operation,
    Status,
)

from .instructions import Condition, Function, Program, Source, Start, Target
from .layout import (
    ADDRESS,
    IDENTITY_PLACE,
    KEPT,
    LENGTH,
    OPERATION,
    PAYLOAD,
    PAYLOAD_BYTES,
    SEQUENCE,
    increase,
    status_byte,
)

__all__ = ["access", "choose", "move", "wait"]

REGISTER_PAGES = 16
"""Registers have addresses of 12 bits."""

CYCLES = 3
"""Of an instruction."""

WAIT_CYCLES = 15 * CYCLES
"""After which a WAIT looks again."""

ZERO, CARRY = Condition.ZERO, Condition.CARRY


def choose(p: Program) -> None:
    """Go to the operation, if lengths are as they must be."""
    p.label("execute")
    p.load(OPERATION, Source.MEMORY)
    p.compute(Function.ADD, REPLY, keep=False)
    p.jump("restart", CARRY)  # no request
    p.compare(max(Operation) + 1)
    p.load(status_byte(Status.BAD_OPERATION))
    p.jump("refuse", CARRY)
    p.load(LENGTH + 1, Source.MEMORY)
    p.jump("refuse length", ZERO, unless=True)
    p.load(status_byte(Status.OK))
    p.store("status")
    p.load(PAYLOAD)
    p.store("source")
    p.move(Target.POINTER)
    p.load(LENGTH, Source.MEMORY)
    p.store("left", "length")
    p.load(OPERATION, Source.MEMORY)
    p.compare(Operation.WRITE)
    p.jump("write", ZERO)
    p.compare(Operation.WRITE_REGISTER)
    p.jump("register value", ZERO)
    p.load("payload")
    p.jump("refuse length", ZERO, unless=True)
    p.load(OPERATION, Source.MEMORY)
    p.jump("identify", ZERO)
    p.compare(Operation.READ)
    p.jump("read", ZERO)
    p.load("left")
    p.compare(WAIT_BYTES)
    p.jump("refuse length", ZERO, unless=True)
    p.load(OPERATION, Source.MEMORY)
    p.compare(Operation.WAIT)
    p.jump("wait", ZERO)
    p.jump("access")
    p.label("identify")
    p.load("left")
    p.compare(IDENTITY_BYTES)
    p.jump("refuse length", ZERO, unless=True)
    p.load(0)
    p.store("kept operation")
    p.load(IDENTITY_PLACE)
    p.store("source")
    p.jump("reply")
    p.label("register value")
    p.load("left")
    p.compare(REGISTER_BYTES)
    p.jump("refuse length", ZERO, unless=True)
    p.compare("payload")
    p.jump("access", ZERO)
    p.label("refuse length")
    p.load(status_byte(Status.BAD_LENGTH))
    p.jump("refuse")
    p.label("refuse address")
    p.load(status_byte(Status.BAD_ADDRESS))
    p.label("refuse")
    p.store("status")
    p.label("no payload")
    p.load(0)
    p.store("length")
    p.jump("reply")


def move(p: Program, pages: int) -> None:
    """Read or write memory, byte by byte."""
    p.label("write")
    p.load("left")
    p.jump("refuse length", ZERO)
    p.compare("payload")
    p.jump("byte of memory", ZERO)
    p.jump("refuse length")
    p.label("read")
    p.load("left")
    p.jump("refuse length", ZERO)
    p.compare(PAYLOAD_BYTES + 1)
    p.jump("refuse length", CARRY)
    p.label("byte of memory")
    point(p, pages, "refuse address")
    p.load(OPERATION, Source.MEMORY)
    p.compare(Operation.WRITE)
    p.jump("store", ZERO)
    p.move(Target.START, Start.LOAD)
    p.load(0, Source.WORD)
    p.move(Target.NEXT)
    p.jump("next byte")
    p.label("store")
    p.load(0, Source.NEXT)
    p.move(Target.START, Start.STORE)
    p.label("next byte")
    increase(p, ADDRESS, ADDRESS + 1, done="no carry")
    p.label("no carry")
    p.load(status_byte(Status.MEMORY))
    p.jump("refuse", Condition.FAILED)
    p.load("left")
    p.compute(Function.SUBTRACT, 1)
    p.store("left")
    p.jump("byte of memory", ZERO, unless=True)
    p.load(OPERATION, Source.MEMORY)
    p.compare(Operation.READ)
    p.jump("reply", ZERO)
    p.jump("no payload")


def point(p: Program, pages: int, beyond: str) -> None:
    """Give the address away; go to ``beyond`` if it is not in so many pages of 256 bytes."""
    for place in (ADDRESS + 3, ADDRESS + 2):
        p.load(place, Source.MEMORY)
        p.jump(beyond, ZERO, unless=True)
    p.load(ADDRESS + 1, Source.MEMORY)
    p.compare(pages)
    p.jump(beyond, CARRY)
    p.move(Target.HIGH)
    p.load(ADDRESS, Source.MEMORY)
    p.move(Target.LOW)


def access(p: Program) -> None:
    """Access a register, unless that was the last one's sequence and operation."""
    p.label("access")
    p.load(SEQUENCE, Source.MEMORY)
    p.compare("kept sequence")
    p.jump("new access", ZERO, unless=True)
    p.load(OPERATION, Source.MEMORY)
    p.compare("kept operation")
    p.jump("accessed", ZERO)
    p.label("new access")
    p.load(SEQUENCE, Source.MEMORY)
    p.store("kept sequence")
    p.load(OPERATION, Source.MEMORY)
    p.store("kept operation")
    p.load(status_byte(Status.REGISTER))
    p.store("kept status")
    point(p, REGISTER_PAGES, "accessed")
    p.jump("accessed", Condition.UNKNOWN)
    p.load(status_byte(Status.OK))
    p.store("kept status")
    for byte in range(REGISTER_BYTES):
        p.load(PAYLOAD + byte, Source.MEMORY)
        p.move(Target.WORD)
    p.load(OPERATION, Source.MEMORY)
    p.compare(Operation.WRITE_REGISTER)
    p.jump("write register", ZERO)
    p.move(Target.START, Start.READ)
    for byte in range(REGISTER_BYTES):
        p.load(0, Source.WORD)
        p.store(KEPT + byte)
    p.jump("accessed")
    p.label("write register")
    p.move(Target.START, Start.WRITE)
    p.label("accessed")
    p.load("kept status")
    p.compare(status_byte(Status.OK))
    p.jump("refuse", ZERO, unless=True)
    p.load(OPERATION, Source.MEMORY)
    p.compare(Operation.WRITE_REGISTER)
    p.jump("no payload", ZERO)
    p.load(KEPT)
    p.store("source")
    p.jump("reply")


def wait(p: Program) -> None:
    """Wait for the interrupt, the cycles, or what is no END."""
    address = range(ADDRESS, LENGTH)
    p.label("wait")
    p.jump("interrupted", Condition.INTERRUPT)
    p.jump("quiet", Condition.EMPTY)
    p.load(0, Source.RING)
    p.compare(END)
    p.jump("not interrupted", ZERO, unless=True)
    p.load(1, Source.RING)
    p.label("quiet")
    for place in address:
        borrow = place != ADDRESS
        p.load(place, Source.MEMORY)
        p.compute(*(Function.BORROW, 0) if borrow else (Function.SUBTRACT, WAIT_CYCLES))
        p.store(place)
    p.jump("wait", CARRY)
    p.load(0)
    p.store(*address)
    p.label("not interrupted")
    p.load(0)
    p.jump("told")
    p.label("interrupted")
    p.load(1)
    p.label("told")
    p.store(PAYLOAD)
    p.load(0)
    p.store(PAYLOAD + 1)
    p.load("dropped")
    p.store(PAYLOAD + 2)
    p.load("dropped high")
    p.store(PAYLOAD + 3)
