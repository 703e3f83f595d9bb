"""Programs as text."""

from systolith_hw.config import INSTRUCTION_BYTES
from systolith_hw.isa import Opcode, decode
from systolith_sim.machine.listing import describe

__all__ = ["disassemble"]


def disassemble(program: bytes) -> str:
    """Return one line per instruction; loop bodies are indented."""
    lines = []
    ends: list[int] = []
    for index in range(len(program) // INSTRUCTION_BYTES):
        raw = program[index * INSTRUCTION_BYTES : (index + 1) * INSTRUCTION_BYTES]
        ends = [end for end in ends if index < end]
        lines.append(f"{index:5}  {'  ' * len(ends)}{describe(raw)}")
        if raw[0] == Opcode.LOOP:
            ends.append(index + 1 + decode(raw)[1]["body"])
    return "\n".join(lines)
