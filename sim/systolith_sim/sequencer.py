"""Golden model of :class:`systolith_hw.sequencer.sequencer.Sequencer`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from systolith_hw.config import INSTRUCTION_BYTES, Config
from systolith_hw.isa import (
    PATCHES,
    REGISTERS,
    SLOT_BITS,
    CalcOperation,
    ErrorCode,
    Opcode,
    Unit,
    decode,
)
from systolith_hw.limits import opcodes

from .errors import MachineError, ProgramError

__all__ = ["READ_BYTES", "Control", "Issued", "Reader", "expand"]

HEADER_SLOTS = 4
PC_OFFSET = 32
MASK = (1 << 32) - 1

READ_BYTES = 4
"""What READ reads."""


@dataclass(frozen=True)
class Issued:
    """An instruction as it is issued.

    ``raw`` has its patches applied, and in their place ``pc``, its index in the program.
    """

    pc: int
    raw: bytes


Reader = Callable[[Issued, int], int | None]
"""Returns the 32-bit word at an address that READ names, or None where the bus has an error."""


Control = Callable[[int, bool], None]
"""Is told what the sequencer does itself."""


def _ignore(pc: int, again: bool) -> None:
    """Do nothing."""


def _no_number() -> int:
    """Refuse to read a number."""
    raise ProgramError("READ wants a number, and neither BEST nor SAMPLE has written one")


@dataclass
class _Loop:
    """A loop that is open; ``end`` is the last instruction of its body."""

    start: int
    end: int
    remaining: int
    counter: int
    step: int


def expand(
    program: bytes, registers: Mapping[int, int], config: Config, read: Reader,
    number: Callable[[], int] = _no_number, control: Control = _ignore,
) -> Iterator[Issued]:  # fmt: skip
    """Yield what the sequencer issues, in order; its own END, BARRIER and CREDIT too, and READ
    where that waits for VECTOR.

    Parameters
    ----------
    program : bytes
        Instructions; behind them is empty memory.
    registers : mapping
        Runtime registers at the start, by number; the others are zero.
    config : Config
        Uses ``sequencer.loop_depth``, ``memory.program_instructions`` and ``bus.address_bits``.
    read : Reader
        External memory, as READ finds it.
    number : function
        Returns what BEST or SAMPLE has written last.
    control : function
        Is told the program address of each LOOP, CALC and READ, and that of a LOOP ``again`` for
        each further trip.

    Raises
    ------
    MachineError
        Where the hardware stops with an error of its sequencer.
    """
    r = [registers.get(number, 0) & MASK if number else 0 for number in range(REGISTERS)]
    loops: list[_Loop] = []
    pc = 0
    while True:
        raw = program[pc * INSTRUCTION_BYTES : (pc + 1) * INSTRUCTION_BYTES]
        bits = _patch(int.from_bytes(raw, "little"), r, pc, config)
        raw = bits.to_bytes(INSTRUCTION_BYTES, "little")
        instruction, fields = decode(raw)
        if instruction.opcode in (Opcode.LOOP, Opcode.CALC, Opcode.READ):
            control(pc, False)
        match instruction.opcode:
            case Opcode.LOOP:
                loop = _open_loop(fields, r, loops, pc, config)
                if loop.remaining < 0:
                    pc = loop.end
                else:
                    loops.append(loop)
            case Opcode.CALC:
                minimum = fields["operation"] == CalcOperation.MINIMUM
                if minimum and config.sequencer.instructions_stand:
                    raise _error(ErrorCode.ILLEGAL_INSTRUCTION, pc, "there is no MINIMUM here")
                x = _calculate(fields, r)
                _write(r, fields["target"], x >> fields["right"] << fields["left"])
            case Opcode.READ:
                item = Issued(pc, raw)
                address = _read_address(fields, r, item, config)
                if fields["number"]:
                    yield item
                _write(r, fields["target"],
                       number() if fields["number"] else _read(item, address, read))  # fmt: skip
            case _:
                if instruction.opcode == Opcode.CREDIT and not fields["count"]:
                    raise _error(ErrorCode.ZERO_COUNT, pc, "count is zero")
                yield Issued(pc, raw)
        if instruction.opcode == Opcode.END:
            return
        pc = _next(pc, loops, r, control)


def _patch(bits: int, r: list[int], pc: int, config: Config) -> int:
    """Return an instruction with its patches applied, and ``pc`` in their place."""
    header = bits & (1 << PC_OFFSET) - 1
    if header & 0xFF not in opcodes(config):
        code = header & 0xFF
        raise _error(ErrorCode.ILLEGAL_INSTRUCTION, pc, f"opcode {code:#04x} is illegal")
    patched = bits
    for index in range(PATCHES):
        patch = bits >> PC_OFFSET + 8 * index & 0xFF
        slot, register = patch & 15, patch >> 4
        if slot == 0:
            continue
        if slot < HEADER_SLOTS:
            raise _error(ErrorCode.ILLEGAL_INSTRUCTION, pc, f"slot {slot} cannot be patched")
        width = SLOT_BITS if slot % 2 else 2 * SLOT_BITS
        mask = (1 << width) - 1 << SLOT_BITS * slot
        patched = patched & ~mask | patched + (r[register] << SLOT_BITS * slot) & mask
    body = patched >> HEADER_SLOTS * SLOT_BITS << HEADER_SLOTS * SLOT_BITS
    return body | pc << PC_OFFSET | header


def _calculate(fields: dict[str, int], r: list[int]) -> int:
    """Return what CALC shifts."""
    a, b = r[fields["a"]] + fields["immediate"], r[fields["b"]]
    if fields["operation"] == CalcOperation.MINIMUM:
        return min(a & MASK, b)
    return a + b & MASK


def _read_address(fields: dict[str, int], r: list[int], item: Issued, config: Config) -> int:
    """Return the address that READ names."""
    address = r[fields["a"]] + fields["immediate"] & MASK
    if address % READ_BYTES:
        raise _error(
            ErrorCode.MISALIGNED, item.pc,
            f"address {address:#x} is not a multiple of {READ_BYTES} bytes",
        )  # fmt: skip
    if address >> config.bus.address_bits:
        raise _error(
            ErrorCode.ADDRESS_RANGE, item.pc,
            f"address {address:#x} is beyond {config.bus.address_bits} address bits",
        )  # fmt: skip
    if fields["number"] and not config.vector.rows:
        raise _error(
            ErrorCode.ILLEGAL_INSTRUCTION, item.pc, "vector.rows is 0, so READ has no number"
        )
    return address


def _read(item: Issued, address: int, read: Reader) -> int:
    """Return the word that READ finds."""
    value = read(item, address)
    if value is None:
        raise _error(ErrorCode.BUS_READ, item.pc, f"nothing answers at address {address:#x}")
    return value


def _open_loop(
    fields: dict[str, int], r: list[int], loops: list[_Loop], pc: int, config: Config
) -> _Loop:
    """Check a LOOP and set its counter; ``remaining`` is -1 if it has no trips."""
    body, window = fields["body"], config.memory.program_instructions
    if len(loops) == config.sequencer.loop_depth:
        raise _error(ErrorCode.LOOP, pc, f"only {len(loops)} loops may be inside each other")
    if not 1 <= body <= window:
        raise _error(ErrorCode.LOOP, pc, f"a body must be 1 to {window} instructions, not {body}")
    if loops and pc + body > loops[-1].end:
        raise _error(
            ErrorCode.LOOP, pc, f"the body ends at {pc + body}, beyond that of the loop around it, "
            f"{loops[-1].end}",
        )  # fmt: skip
    trips = fields["count"] + r[fields["count_register"]] & MASK
    if trips:
        _write(r, fields["counter"], r[fields["initial"]])
    return _Loop(pc, pc + body, trips - 1, fields["counter"], fields["step"])


def _next(pc: int, loops: list[_Loop], r: list[int], control: Control) -> int:
    """Return the instruction after ``pc``."""
    while loops and loops[-1].end == pc:
        loop = loops[-1]
        if loop.remaining:
            loop.remaining -= 1
            control(loop.start, True)
            _write(r, loop.counter, r[loop.counter] + loop.step)
            return loop.start + 1
        loops.pop()
    return pc + 1


def _write(r: list[int], register: int, value: int) -> None:
    if register:
        r[register] = value & MASK


def _error(code: ErrorCode, pc: int, message: str) -> MachineError:
    return MachineError(code, Unit.SEQUENCER, pc, message)
