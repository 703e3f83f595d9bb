"""Control and status register map as plain data, used by hardware, driver, manifest and docs.

All registers are 32 bits wide, at byte offsets on the port of registers.
"""

import enum
from dataclasses import dataclass

from .config import Config
from .isa import ErrorCode, Unit

__all__ = [
    "COUNTERS",
    "KEPT",
    "OFFSETS",
    "REGISTERS",
    "BitField",
    "Control",
    "ControlRegister",
    "Counter",
    "Interrupt",
    "Status",
    "bit_fields",
    "counter_offsets",
]

IDENTITY = 0x54_4C_59_53
"""What ID reads: "SYLT" in little-endian ASCII."""

COUNTER_BASE = 0x80
"""Offset of the first counter; they follow one another in the order of ``COUNTERS``."""

REGISTER_SPACE = 0x100
"""Bytes that the map takes."""


class Control(enum.IntFlag):
    """Bits of CONTROL; each acts once when a one is written."""

    START = 1
    ABORT = 2
    RESET = 4


class Status(enum.IntFlag):
    """Bits of STATUS."""

    RUNNING = 1
    DONE = 2
    ERROR = 4
    ABORTED = 8


class Interrupt(enum.IntFlag):
    """Bits of IRQ_ENABLE and IRQ_PENDING."""

    DONE = 1
    ERROR = 2


@dataclass(frozen=True)
class ControlRegister:
    """One register: byte ``offset``, ``access`` (ro, rw, wo, w1c) and meaning."""

    name: str
    offset: int
    access: str
    doc: str


REGISTERS = (
    ControlRegister("ID", 0x00, "ro", "0x544C5953"),
    ControlRegister("VERSION", 0x04, "ro", "ISA version"),
    ControlRegister("CONFIG_HASH", 0x08, "ro", "identity of the configuration"),
    ControlRegister("CONTROL", 0x0C, "wo", "bit 0 start, bit 1 abort, bit 2 reset the core (not "
                    "its memories)"),
    ControlRegister("STATUS", 0x10, "ro", "bit 0 running, bit 1 done, bit 2 error, bit 3 aborted"),
    ControlRegister("PROGRAM", 0x14, "rw", "byte address of the program, a multiple of 32 and of "
                    "the port; writing it empties the program memory and begins to fill it"),
    ControlRegister("IRQ_ENABLE", 0x18, "rw", "bit 0 done, bit 1 error"),
    ControlRegister("IRQ_PENDING", 0x1C, "w1c", "bit 0 done, bit 1 error"),
    ControlRegister("ERROR", 0x20, "ro", "bits 7:0 error code, bits 15:8 unit"),
    ControlRegister("ERROR_PC", 0x24, "ro", "instruction index of the error"),
    ControlRegister("WATCHDOG", 0x28, "rw", "cycles without any progress after which a running "
                    "program is stopped with an error, up to 128 later; 0 never stops it"),
    ControlRegister("LENGTH", 0x2C, "rw", "runtime register 1; write while not running"),
    ControlRegister("POSITION", 0x30, "rw", "runtime register 2; write while not running"),
)  # fmt: skip

KEPT = ("POSITION", "LENGTH", "PROGRAM", "WATCHDOG")
"""The registers that stand in the counters' memory, so that no reset changes them; the first three
are told to the core."""


@dataclass(frozen=True)
class BitField:
    """Bits ``low`` to ``low + width - 1`` of a register; ``values`` names what they read."""

    name: str
    low: int
    width: int
    doc: str
    values: type[enum.IntEnum] | None = None


FIELDS = {
    "CONTROL": Control,
    "STATUS": Status,
    "IRQ_ENABLE": Interrupt,
    "IRQ_PENDING": Interrupt,
    "ERROR": (
        BitField("CODE", 0, 8, "what went wrong", ErrorCode),
        BitField("UNIT", 8, 8, "where", Unit),
    ),
}
"""Registers that are not one number."""


def bit_fields(register: ControlRegister) -> list[BitField]:
    """Return the fields of a register, lowest first; one of 32 bits if it is a number."""
    known = FIELDS.get(register.name)
    if known is None:
        return [BitField("VALUE", 0, 32, register.doc)]
    if isinstance(known, tuple):
        return list(known)
    return [
        BitField(flag.name or "", flag.bit_length() - 1, 1, flag.name.lower() if flag.name else "")
        for flag in known
    ]


OFFSETS = {register.name: register.offset for register in REGISTERS}
"""Byte offset of each register by its name."""


@dataclass(frozen=True)
class Counter:
    """One counter. It counts cycles in which a unit raises its event, unless the doc says more.

    One that is not ``basic`` exists only with ``control.stall_counters``, one of ``rows`` only with
    ``vector.rows``.
    """

    name: str
    doc: str
    basic: bool = False
    rows: bool = False


COUNTERS = (
    Counter("CYCLES", "from the start write to the done flag", True),
    Counter("ARRAY_BUSY", "a control word entered the array", True),
    Counter("ARRAY_WAIT_SEMAPHORE", "the array waited for a semaphore"),
    Counter("ARRAY_WAIT_OUTPUT", "the array waited for room in the output FIFO"),
    Counter("ARRAY_WAIT_WRITE", "the array yielded to an operand write (single-port memory)"),
    Counter("VECTOR_BUSY", "the vector unit took a beat", True),
    Counter("VECTOR_WAIT_SEMAPHORE", "the vector unit waited for a semaphore"),
    Counter("VECTOR_WAIT_RESULT", "the vector unit waited for the array"),
    Counter("VECTOR_WAIT_STORE", "the vector unit waited for STORE to take its stream"),
    Counter("LOAD_BEATS", "LOAD received a beat", True),
    Counter("LOAD_WAIT_SEMAPHORE", "LOAD waited for a semaphore"),
    Counter("LOAD_WAIT_BUS", "LOAD waited for the bus"),
    Counter("STORE_BEATS", "STORE sent a beat", True),
    Counter("STORE_WAIT_SEMAPHORE", "STORE waited for a semaphore"),
    Counter("STORE_WAIT_SOURCE", "STORE waited for data"),
    Counter("STORE_WAIT_BUS", "STORE waited for the bus"),
    Counter("SEQUENCER_BUSY", "the sequencer worked on an instruction"),
    Counter("SEQUENCER_WAIT_QUEUE", "the sequencer waited for room in a queue"),
    Counter("SEQUENCER_WAIT_FETCH", "the sequencer waited for the program, or for what READ reads"),
    Counter("FETCH_BEATS", "the sequencer received a beat of program, or of READ", True),
    Counter("SATURATIONS", "values clipped to 32 bits (number of values)", True),
    Counter("FLUSHES", "blocks that were not zero and became zero (number of blocks)", True),
    Counter("ROW_BUSY", "the vector unit took a beat of NORM or SOFTMAX", True, rows=True),
    Counter("ROW_WAIT_SEMAPHORE", "NORM or SOFTMAX waited for a semaphore", rows=True),
)
"""Counters in address order, all that there can be; START clears them."""


def counter_offsets(config: Config) -> dict[str, int]:
    """Return the byte offset of each counter that a core has, by its name."""
    stall_counters, rows = config.control.stall_counters, bool(config.vector.rows)
    return {
        counter.name: COUNTER_BASE + 4 * index
        for index, counter in enumerate(COUNTERS)
        if (counter.basic or stall_counters) and (rows or not counter.rows)
    }
