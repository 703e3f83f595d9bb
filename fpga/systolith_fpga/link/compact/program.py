"""What the compact endpoint does, as a program: take a frame, do what that asks for, reply."""

from systolith_hw.link_protocol import (
    CRC_BYTES,
    END,
    ESCAPE,
    ESCAPED_END,
    ESCAPED_ESCAPE,
    HEADER,
    IDENTITY_BYTES,
    REGISTER_BYTES,
    REPLY,
    STATUS_SHIFT,
    WAIT_BYTES,
    Operation,
    Status,
)

from .instructions import Condition, Function, Program, Source, Start, Target

__all__ = ["IDENTITY_PLACE", "PAYLOAD_BYTES", "link_program"]

PAYLOAD_BYTES = 64
"""Longest payload: there is room for one frame."""

PAYLOAD = HEADER.size
LONGEST = HEADER.size + PAYLOAD_BYTES + CRC_BYTES
IDENTITY_PLACE = 80
KEPT = IDENTITY_PLACE + IDENTITY_BYTES
"""Places in memory: a frame from 0 on, the identity, and what a register had; variables behind."""

SEQUENCE, OPERATION, ADDRESS, LENGTH = 0, 1, 2, 6

REGISTER_PAGES = 16
"""Registers have addresses of 12 bits."""

CYCLES = 3
"""Of an instruction."""

WAIT_CYCLES = 15 * CYCLES
"""After which a WAIT looks again."""

ZERO, CARRY = Condition.ZERO, Condition.CARRY


def link_program(memory_bytes: int) -> list[int]:
    """Return the words of the program.

    Parameters
    ----------
    memory_bytes : int
        A multiple of 256 up to 32768.
    """
    p = Program(KEPT + REGISTER_BYTES)
    p.load(0)
    p.store("kept operation", "dropped", "dropped high")
    _receive(p)
    _choose(p)
    _move(p, memory_bytes // 256)
    _access(p)
    _wait(p)
    _reply(p)
    return p.words()


def _status(status: Status) -> int:
    """Return a reply's operation without the operation."""
    return REPLY | status << STATUS_SHIFT


def _receive(p: Program) -> None:
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
    p.load("dropped")
    p.compute(Function.ADD, 1)
    p.store("dropped")
    p.jump("restart", CARRY, unless=True)
    p.load("dropped high")
    p.compute(Function.ADD, 1)
    p.store("dropped high")
    p.jump("restart")


def _choose(p: Program) -> None:
    """Go to the operation, if lengths are as they must be."""
    p.label("execute")
    p.load(OPERATION, Source.MEMORY)
    p.compute(Function.ADD, REPLY, keep=False)
    p.jump("restart", CARRY)  # no request
    p.compare(max(Operation) + 1)
    p.load(_status(Status.BAD_OPERATION))
    p.jump("refuse", CARRY)
    p.load(LENGTH + 1, Source.MEMORY)
    p.jump("refuse length", ZERO, unless=True)
    p.load(_status(Status.OK))
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
    p.load(_status(Status.BAD_LENGTH))
    p.jump("refuse")
    p.label("refuse address")
    p.load(_status(Status.BAD_ADDRESS))
    p.label("refuse")
    p.store("status")
    p.label("no payload")
    p.load(0)
    p.store("length")
    p.jump("reply")


def _move(p: Program, pages: int) -> None:
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
    _point(p, pages, "refuse address")
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
    p.load(ADDRESS, Source.MEMORY)
    p.compute(Function.ADD, 1)
    p.store(ADDRESS)
    p.jump("no carry", CARRY, unless=True)
    p.load(ADDRESS + 1, Source.MEMORY)
    p.compute(Function.ADD, 1)
    p.store(ADDRESS + 1)
    p.label("no carry")
    p.load(_status(Status.MEMORY))
    p.jump("refuse", Condition.FAILED)
    p.load("left")
    p.compute(Function.SUBTRACT, 1)
    p.store("left")
    p.jump("byte of memory", ZERO, unless=True)
    p.load(OPERATION, Source.MEMORY)
    p.compare(Operation.READ)
    p.jump("reply", ZERO)
    p.jump("no payload")


def _point(p: Program, pages: int, beyond: str) -> None:
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


def _access(p: Program) -> None:
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
    p.load(_status(Status.REGISTER))
    p.store("kept status")
    _point(p, REGISTER_PAGES, "accessed")
    p.jump("accessed", Condition.UNKNOWN)
    p.load(_status(Status.OK))
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
    p.compare(_status(Status.OK))
    p.jump("refuse", ZERO, unless=True)
    p.load(OPERATION, Source.MEMORY)
    p.compare(Operation.WRITE_REGISTER)
    p.jump("no payload", ZERO)
    p.load(KEPT)
    p.store("source")
    p.jump("reply")


def _wait(p: Program) -> None:
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


def _reply(p: Program) -> None:
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
