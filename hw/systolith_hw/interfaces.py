"""Signatures and payload shapes shared by several units: what travels between them.

A function takes the :class:`~systolith_hw.config.Config` and returns a shape or a signature.
Everything that a single unit uses alone stays in that unit's file.
"""

from amaranth import signed, unsigned
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import FIXED_BITS, SCALE_BITS, SHIFT_BITS, WEIGHT_BITS, Config
from .isa import INSTRUCTIONS, SLOT_BITS, SLOTS, WORD_BITS, Opcode

__all__ = [
    "SLOT_ORDER",
    "Fault",
    "ReadPort",
    "SemaphorePost",
    "SemaphoreWait",
    "WritePort",
    "activation_word",
    "descriptor",
    "entry_write",
    "issue_word",
    "lane_write",
    "read_beat",
    "request",
    "result_beat",
    "row_write",
    "scale_entry",
    "scale_stream",
    "scale_write",
    "unit_ports",
    "wide_write",
    "word_write",
    "write_beat",
]

PC_BITS = 16
SEMAPHORE_ID_BITS = 4

SLOT_ORDER = (*range(2, SLOTS), 0, 1)
"""The order in which slots are issued where instructions stand."""


def descriptor(*opcodes: Opcode) -> data.FlexibleLayout:
    """Return the 256-bit layout of an instruction, as units receive it: the fields of all that it
    may be.

    Fields keep their names of :mod:`systolith_hw.isa`; ``pc`` (bits 47:32) is the instruction's
    index in the program, put there by the sequencer when it issues.
    """
    fields: dict[int | str, data.Field] = {
        item.name: data.Field(signed(item.width) if item.signed else item.width, item.offset)
        for opcode in opcodes
        for item in INSTRUCTIONS[opcode].all_fields
        if not item.name.startswith("patch")
    }
    fields["pc"] = data.Field(unsigned(PC_BITS), 32)
    return data.FlexibleLayout(256, fields)


def issue_word(config: Config) -> ShapeLike:
    """Return the shape of what the sequencer issues in a cycle.

    It is one of an instruction's four words, or where instructions stand, ``data`` of one of its
    sixteen slots, which, and whether that is beyond what the unit keeps of it. They come in the
    order of :data:`SLOT_ORDER`.
    """
    if config.sequencer.instructions_stand:
        return data.StructLayout({"data": SLOT_BITS, "slot": range(SLOTS), "beyond": 1})
    return unsigned(WORD_BITS)


def request(config: Config) -> data.StructLayout:
    """Return the shape of a burst request: byte ``address`` and ``beats`` less one."""
    return data.StructLayout({"address": config.bus.address_bits, "last": 8})


def read_beat(config: Config) -> data.StructLayout:
    """Return the shape of one beat read: ``error`` is the bus's error reply."""
    return data.StructLayout({"data": config.bus.data_bytes * 8, "error": 1})


def write_beat(config: Config) -> data.StructLayout:
    """Return the shape of one beat written; ``last`` ends the burst."""
    width = config.bus.data_bytes
    return data.StructLayout({"data": width * 8, "strobe": width, "last": 1})


class ReadPort(wiring.Signature):
    """A client's reading side of external memory, seen from the client.

    Members
    -------
    request : Out(stream of :func:`request`)
        A burst inside one 4096-byte page.
    data : In(stream of :func:`read_beat`)
        Its beats, in the order of the requests. Once it has asked, the client takes beats without
        waiting for a semaphore: clients share one bus, and a waiting one holds up the others.
    """

    def __init__(self, config: Config) -> None:
        super().__init__({
            "request": Out(stream.Signature(request(config))),
            "data": In(stream.Signature(read_beat(config))),
        })


class WritePort(wiring.Signature):
    """A client's writing side of external memory, seen from the client.

    Members
    -------
    request : Out(stream of :func:`request`)
        A burst inside one 4096-byte page.
    data : Out(stream of :func:`write_beat`)
        Its beats.
    response : In(stream of one ``error`` bit)
        One for each burst, in order; always ready.
    """

    def __init__(self, config: Config) -> None:
        super().__init__({
            "request": Out(stream.Signature(request(config))),
            "data": Out(stream.Signature(write_beat(config))),
            "response": In(stream.Signature(1, always_ready=True)),
        })


class SemaphoreWait(wiring.Signature):
    """A unit takes one count from semaphore ``id`` in the cycle where valid and ready are one."""

    def __init__(self) -> None:
        super().__init__({
            "valid": Out(1), "ready": In(1), "id": Out(SEMAPHORE_ID_BITS),
        })  # fmt: skip


class SemaphorePost(wiring.Signature):
    """A unit gives one count to semaphore ``id`` in each cycle where valid is one."""

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "id": Out(SEMAPHORE_ID_BITS)})


class Fault(wiring.Signature):
    """A unit reports an error: it holds ``valid``, ``code`` and ``pc`` until reset and does no
    more work; the core then raises ``halt`` for all units."""

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "code": Out(8), "pc": Out(PC_BITS)})


def unit_ports(*opcodes: Opcode) -> dict[str, wiring.Member]:
    """Return the ports that every unit has, for the unit that executes ``opcodes``.

    Members
    -------
    instruction : In(stream of descriptor(*opcodes))
        What to do; taken when the unit begins with it.
    wait : Out(SemaphoreWait), post_inner, post_outer : Out(SemaphorePost)
        Semaphores to take and to give.
    fault : Out(Fault)
        What went wrong.
    halt : In(1)
        Start nothing new.
    idle : Out(1)
        Nothing is under way.
    """
    return {
        "instruction": In(stream.Signature(descriptor(*opcodes))),
        "wait": Out(SemaphoreWait()),
        "post_inner": Out(SemaphorePost()),
        "post_outer": Out(SemaphorePost()),
        "fault": Out(Fault()),
        "halt": In(1),
        "idle": Out(1),
    }


def row_write(config: Config) -> data.StructLayout:
    """Return the shape of a write of ``write_rows`` consecutive operand banks.

    ``group`` g writes banks ``g * write_rows`` and on of ``tile``; row r's C weights stand at
    ``data[r][lane]``.
    """
    groups = config.array.rows // config.write_rows
    row = data.ArrayLayout(signed(WEIGHT_BITS), config.array.columns)
    return data.StructLayout({
        "tile": range(config.memory.operand_tiles),
        "group": range(max(groups, 2)),  # a port of no bits is awkward in Verilog
        "data": data.ArrayLayout(row, config.write_rows),
    })


def lane_write(config: Config) -> data.StructLayout:
    """Return the shape of a write of L lanes of one operand bank.

    ``data[i]`` goes to column ``part * L + i`` of row ``row`` of ``tile``.
    """
    array, lanes = config.array, config.vector.lanes
    return data.StructLayout({
        "tile": range(config.memory.operand_tiles),
        "row": range(array.rows),
        "part": range(array.columns // lanes),
        "data": data.ArrayLayout(signed(WEIGHT_BITS), lanes),
    })


def word_write(config: Config) -> data.StructLayout:
    """Return the shape of a write across all rows.

    With ``operand`` zero it writes activation word ``address``, mantissas and exponent. With
    ``operand`` one it writes the low 8 bits of each mantissa to column ``lane`` of operand tile
    ``address``.
    """
    depth = max(config.memory.operand_tiles, config.memory.activation_words)
    return data.StructLayout({
        "operand": 1,
        "address": range(depth),
        "lane": range(config.array.columns),
        "word": activation_word(config),
    })


def activation_word(config: Config) -> data.StructLayout:
    """Return the shape of an activation word: R signed mantissas times 2**exponent."""
    return data.StructLayout({
        "mantissas": data.ArrayLayout(signed(config.array.mantissa_bits), config.array.rows),
        "exponent": config.array.exponent_bits,
    })


def result_beat(config: Config) -> data.ArrayLayout:
    """Return the shape of what the array gives per cycle: L of a result's C sums, lowest first."""
    return data.ArrayLayout(signed(config.array.accumulator_bits), config.vector.lanes)


def wide_write(config: Config) -> data.StructLayout:
    """Return the shape of a write of one wide word: L fixed-point values."""
    return data.StructLayout({
        "address": range(config.memory.wide_words),
        "data": data.ArrayLayout(signed(FIXED_BITS), config.vector.lanes),
    })


def scale_entry() -> data.StructLayout:
    """Return the shape of one channel's constants, as the scale memory holds them."""
    return data.StructLayout({
        "scale": SCALE_BITS, "shift": SHIFT_BITS, "bias": signed(FIXED_BITS),
    })  # fmt: skip


def scale_write(config: Config) -> data.StructLayout:
    """Return the shape of a write of a part of a scale word: some channels' constants.

    A part is :attr:`.Config.scale_write_lanes` lanes; ``part`` 0 begins with lane 0.
    """
    lanes = config.scale_write_lanes
    return data.StructLayout({
        "address": range(config.memory.scale_words),
        "part": range(config.vector.lanes // lanes),
        "data": data.ArrayLayout(scale_entry(), lanes),
    })


def scale_stream(config: Config) -> stream.Signature:
    """Return the signature of parts of scale words on their way to memory, seen from who writes.

    They never wait where nothing else is written there, as it is with ``vector.rows``.
    """
    return stream.Signature(scale_write(config), always_ready=not config.vector.rows)


def entry_write(config: Config) -> data.StructLayout:
    """Return the shape of a write of one channel's constants: one lane of a scale word."""
    return data.StructLayout({
        "address": range(config.memory.scale_words),
        "lane": range(config.vector.lanes),
        "entry": scale_entry(),
    })
